"""Reading what commands take as a plan, together with its instance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dnnplan.instances.errors import InputError
from dnnplan.instances.plan import Plan
from dnnplan.instances.result import Result

if TYPE_CHECKING:
    from dnnplan.instances import Instance


def read_plan_or_result(path: str | Path) -> tuple[Plan, Result | None]:
    """A plan file, or the plan in what ``dnnplan solve --json`` printed.

    Raises
    ------
    InputError
        Neither, or a result without a plan.
    """
    from dnnplan.instances.files import read_plan, read_result  # noqa: PLC0415

    try:
        return read_plan(path), None
    except InputError as error:
        try:
            result = read_result(path)
        except InputError:
            raise error from None
    if result.plan is None:
        raise InputError(f"{path}: a result without a plan (status {result.status})")
    return result.plan, result


def load_instance(
    names: list[str] | None, platform: str | None, plan: str, dims: dict[str, int] | None = None
) -> Instance:
    """The instance of a plan.

    Raises
    ------
    InputError
        None was named.
    """
    from dnnplan.instances.loading import load  # noqa: PLC0415

    if not names:
        raise InputError(f"{plan}: a plan is read together with its instance; name it with --instance FILE")
    return load(names, platform=platform, dims=dims)
