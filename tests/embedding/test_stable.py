"""The stable names of docs/embedding.md exist, with the parameters that are promised."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

import dnnplan
from dnnplan.instances import errors
from dnnplan.solvers import Search
from dnnplan.solvers.search import Run

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "embedding.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(dnnplan\.[\w.]+)` \| (?:`([^`]*)` )?\|$", PAGE, flags=re.MULTILINE)


def test_the_table_is_read() -> None:
    assert len(ROWS) >= 30
    assert {f"dnnplan.{name}" for name in dnnplan.__all__ if name != "__version__"} <= {
        name for name, _ in ROWS
    }


@pytest.mark.parametrize(("name", "promised"), ROWS, ids=[name for name, _ in ROWS])
def test_a_stable_name_has_its_parameters(name: str, promised: str) -> None:
    module, _, attribute = name.rpartition(".")
    parameters = inspect.signature(getattr(importlib.import_module(module), attribute)).parameters
    keyword_only, place = False, 0
    actual = list(parameters)
    for said in promised.split(", ") if promised else []:
        if said == "*":
            keyword_only = True
            continue
        found = parameters[said.lstrip("*")]
        if said.startswith("**"):
            assert found.kind is found.VAR_KEYWORD
        elif keyword_only:
            assert found.kind in (found.KEYWORD_ONLY, found.POSITIONAL_OR_KEYWORD)
        else:
            assert actual[place] == said, "positional parameters keep their places"
            place += 1
    others = [p for n, p in parameters.items() if n not in re.findall(r"\w+", promised)]
    for found in others:
        assert found.default is not found.empty or found.kind in (found.VAR_KEYWORD, found.VAR_POSITIONAL)


def test_what_solvers_call_is_there() -> None:
    for name in ("propose", "improve_bound", "finished", "remaining", "remaining_work"):
        assert hasattr(Search, name)
    assert {"work", "best", "value", "bound", "infeasible"} <= set(inspect.signature(Run).parameters)


def test_all_errors_derive_from_one() -> None:
    found = [e for _, e in inspect.getmembers(errors, inspect.isclass) if issubclass(e, Exception)]
    assert len(found) >= 10
    assert all(issubclass(e, errors.DnnplanError) for e in found)
