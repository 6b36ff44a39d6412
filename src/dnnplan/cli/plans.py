"""Reading what commands take as a plan, together with its instance."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from dnnplan.cli.options import with_conditions
from dnnplan.instances.errors import InputError
from dnnplan.instances.plan import Plan
from dnnplan.instances.result import Result

if TYPE_CHECKING:
    from dnnplan.instances import Instance

BESIDE = frozenset(("costs", "stability"))
"""Members that `solve --costs --json` prints beside those of a result."""


def read_plan_or_result(path: str | Path) -> tuple[Plan, Result | None]:
    """A plan file, or the plan in what ``dnnplan solve --json`` printed.

    Raises
    ------
    InputError
        Neither, a result without a plan, or one cycle of a plan that repeats for ever.
    """
    plan, result = read_any_plan(path)
    if plan.problem == "rates":
        raise InputError(
            f"{path}: one cycle of a plan of `dnnplan rates`, expected a plan of problem 'mapping'"
        )
    return plan, result


def read_any_plan(path: str | Path) -> tuple[Plan, Result | None]:
    """The same, whatever problem the plan is of."""
    from dnnplan.instances.files import read_plan

    try:
        return read_plan(path), None
    except InputError as error:
        try:
            result = _read_result(path)
        except InputError:
            raise error from None
    if result.plan is None:
        raise InputError(f"{path}: a result without a plan (status {result.status})")
    return result.plan, result


def _read_result(path: str | Path) -> Result:
    """A printed result, without what `solve --costs` says beside it."""
    from dnnplan.instances.files import read_bytes, read_result
    from dnnplan.instances.json_text import parse_json

    try:
        return read_result(path)
    except InputError:
        data, _, label = read_bytes(path)
        tree = parse_json(data, label)
        if not isinstance(tree, dict) or BESIDE.isdisjoint(tree):
            raise
        rest = {key: value for key, value in tree.items() if key not in BESIDE}
        return read_result(io.BytesIO(msgspec.json.encode(rest)))


def result_tree(result: Result) -> dict[str, Any]:
    """A result as JSON values; its plan says its version, so that it can be cut out and read as a plan."""
    tree: dict[str, Any] = msgspec.to_builtins(result)
    if result.plan is not None:
        tree["plan"] = {"format_version": result.plan.format_version, **tree["plan"]}
    return tree


def load_instance(
    names: list[str] | None,
    platform: str | None,
    plan: str,
    dims: dict[str, int] | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    changes: Iterable[str] | None = None,
    conditions: Path | None = None,
) -> Instance:
    """The instance of a plan, with the options of its reader, and changed as asked.

    Raises
    ------
    InputError
        None was named.
    """
    from dnnplan.instances.loading import load
    from dnnplan.instances.what_if import changed

    if not names:
        raise InputError(f"{plan}: a plan is read together with its instance; name it with --instance FILE")
    loaded = load(names, platform=platform, dims=dims, **dict(options or {}))
    return with_conditions(changed(loaded, changes or ()), conditions)
