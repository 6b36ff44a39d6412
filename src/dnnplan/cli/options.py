"""Options that several commands share, and what their texts mean."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dnnplan.instances.assignments import assignments
from dnnplan.instances.errors import InputError, UnsupportedError
from dnnplan.instances.wording import suggestion

if TYPE_CHECKING:
    from dnnplan.instances import Instance

ProblemName = Literal["grouping", "selection", "ordering", "mapping", "serving", "joint"]
AVAILABLE_PROBLEMS = ("mapping", "grouping", "selection", "ordering", "joint", "serving")

Files = Annotated[list[str], typer.Argument(metavar="FILE...", help="Bundled name, file, or - for stdin.")]
OneFile = Annotated[str, typer.Argument(metavar="FILE", help="Bundled name, file, or - for stdin.")]
Format = Annotated[str | None, typer.Option("--format", help="Format of the files; default: recognised.")]
Select = Annotated[str | None, typer.Option(help="One part of a file that holds several.")]
PlatformName = Annotated[
    str | None, typer.Option("--platform", help="Bundled platform (see `dnnplan platforms`) or a file.")
]
Dims = Annotated[
    list[str] | None,
    typer.Option("--dim", metavar="NAME=N", help="Number for a symbolic dimension; repeatable."),
]
ReaderOptions = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="NAME=VALUE", help="Option of the format's reader; repeatable."),
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="PATH=VALUE", help="What if: change a value, links.bus.bandwidth=2x; repeatable."
    ),
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="File to write; never overwritten silently.")
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else.")]
PlanFile = Annotated[
    str, typer.Argument(metavar="PLAN", help="A plan, or what `dnnplan solve --json` printed.")
]
Models = Annotated[
    list[Path] | None,
    typer.Option(
        "--models",
        metavar="FILE",
        help="ONNX file of a model, or a folder of MODEL.onnx; repeatable. Default: the files that were planned.",
    ),
]
InstanceName = Annotated[
    list[str] | None,
    typer.Option(
        "--instance", metavar="FILE", help="The instance of the plan; repeat it for several networks."
    ),
]
Problem_ = Annotated[
    ProblemName | None,
    typer.Option("--problem", help="What to decide; default: what the objective is about."),
]
Objective = Annotated[
    str | None,
    typer.Option(help="latency | latency=1,energy=0.2 | latency>energy; default: that of the instance."),
]
Conditions = Annotated[
    Path | None,
    typer.Option(
        "--conditions",
        metavar="FILE",
        help="JSON: tasks that run with a probability; replaces those of the instance.",
    ),
]
LimitTexts = Annotated[
    list[str] | None,
    typer.Option("--limit", metavar="NAME=VALUE", help="Upper limit in SI units; repeatable."),
]
Gap = Annotated[float, typer.Option(min=0.0, help="Relative gap at which to stop.")]
TimeLimit = Annotated[float, typer.Option(min=0.0, help="Seconds.")]
WorkLimit = Annotated[float | None, typer.Option(min=0.0, help="Deterministic units of work.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Threads; default: all processors.")]
Seed = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of all random choices.")]


def parse_limits(texts: Iterable[str] | None) -> dict[str, float]:
    """Limits by name, from ``energy=0.5``; plain floats in SI units."""
    limits: dict[str, float] = {}
    for name, value in assignments(texts, "--limit").items():
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise InputError(
                f"--limit {name}={value}: '{value}' is not a finite number (SI units, without suffix)"
            )
        limits[name] = int(number) if number.is_integer() else number
    return limits


DIGITS = 18
"""Of the largest dimension: it has to fit into 64 bits."""


def parse_dims(texts: Iterable[str] | None) -> dict[str, int]:
    """Dimensions by name, from ``batch=1``."""
    dims: dict[str, int] = {}
    for name, value in assignments(texts, "--dim").items():
        if not value.isdecimal() or len(value) > DIGITS or int(value) < 1:
            raise InputError(
                f"--dim {name[:40]}={value[:20]}: '{value[:20]}' is not a positive whole number below 10^{DIGITS}"
            )
        dims[name] = int(value)
    return dims


def parse_options(texts: Iterable[str] | None) -> dict[str, str | bool]:
    """Options of a reader by name, from ``networks=googlenet,alexnet``."""
    options: dict[str, str | bool] = {}
    for name, value in assignments(texts, "--option").items():
        if name in ("dims", "select", "format", "platform"):
            raise InputError(f"--option {name}={value}: is an option of its own, see --help")
        options[name] = {"true": True, "false": False}.get(value, value)
    return options


def reader_options(format: str | None, select: str | None, texts: Iterable[str] | None) -> dict[str, Any]:
    """What readers of files are told: `--format`, `--select`, and each `--option`."""
    return {"format": format, "select": select, **parse_options(texts)}


def parse_solvers(text: str, problem: str | None = None) -> list[str]:
    """Solver names from ``a,b``; names that no problem (or not this one) has are refused before anything runs."""
    from dnnplan.solvers.registry import PROBLEMS, solver_names

    names = [name.strip() for name in text.split(",") if name.strip()]
    together = {None: tuple(PROBLEMS), "grouping": ("grouping", "selection"), "joint": ("joint", "whole")}
    asked = together.get(problem, (problem or "mapping",))
    known = tuple(dict.fromkeys(name for one in asked for name in solver_names(one)))
    for name in names:
        if name not in known:
            hint = suggestion(name, known)
            expected = "" if hint else f"; expected some of {', '.join(known)}"
            raise UnsupportedError(f"'{name}' is not a solver{hint}{expected}")
    if not names:
        raise InputError(f"no solver given, expected some of {', '.join(known)}")
    return names


def with_conditions(instance: Instance, path: Path | None) -> Instance:
    """The instance with the conditions of a file instead of its own."""
    if path is None:
        return instance
    from dnnplan.instances import conditions as reading

    return reading.with_conditions(
        instance, reading.read_conditions(path, [task.name for task in instance.effective_tasks()])
    )


def require_problem(problem: str | None) -> None:
    """Refuse problems that this version does not solve.

    Raises
    ------
    UnsupportedError
        Says which problems are available.
    """
    if problem is not None and problem not in AVAILABLE_PROBLEMS:
        raise UnsupportedError(
            f"--problem {problem}: not available yet; this version solves {', '.join(AVAILABLE_PROBLEMS)}"
        )


def require_free(path: Path | None, *, force: bool, suffixes: tuple[str, ...] = ()) -> None:
    """Refuse, before any work is done, to write where it will not be possible.

    Raises
    ------
    InputError
        The file exists and `force` is not set, its folder does not exist, or its suffix is not one of those.
    """
    if path is None:
        return
    if suffixes and path.suffix.lower() not in suffixes:
        raise InputError(f"{path}: expected a name that ends in {', '.join(suffixes)}")
    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected a file")
    if path.exists() and not force:
        raise InputError(f"{path}: exists; --force overwrites it")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}")


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
