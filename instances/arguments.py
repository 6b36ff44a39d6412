"""What callers hand over in Python: values of the wrong kind are named at the door, and not somewhere inside."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any, NoReturn, TypeGuard

from dnnplan.instances.errors import InputError, Problem
from dnnplan.instances.instance import Instance
from dnnplan.instances.plan import Plan
from dnnplan.instances.result import Result
from dnnplan.instances.wording import show

MOST_THREADS = 4096
LARGEST_SEED = 2**31 - 1


def refuse(name: str, value: object, expected: str) -> NoReturn:
    """Raise an `InputError` that names an argument, what it is, and what it should be."""
    raise InputError(problems=[Problem(name, f"{show(value)}, expected {expected}")])


def require_instance(value: object, name: str = "instance") -> None:
    """Refuse what is no instance."""
    if not isinstance(value, Instance):
        refuse(name, value, "a dnnplan.Instance, as dnnplan.load gives it")


def require_plan(value: object, name: str = "plan") -> None:
    """Refuse what is no plan."""
    if isinstance(value, Result):
        refuse(name, value, f"a dnnplan.Plan: that of a result is its member plan, {show(value.status)} here")
    if not isinstance(value, Plan):
        refuse(name, value, "a dnnplan.Plan")


def require_text(value: object, name: str, expected: str, *, optional: bool = False) -> None:
    """Refuse what is no text; None too, unless it is optional."""
    if not isinstance(value, str) and not (optional and value is None):
        refuse(name, value, f"{expected}{' or None' if optional else ''}")


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a number, of numpy too; True and NaN are none."""
    return isinstance(value, Real) and not isinstance(value, bool) and not math.isnan(value)


def require_number(
    value: object, name: str, unit: str, *, above: bool = False, optional: bool = False
) -> None:
    """Refuse what is no number >= 0 (> 0 if `above`), infinity included; None too, unless it is optional."""
    if optional and value is None:
        return
    if not is_number(value) or value < 0 or (above and value == 0):
        refuse(name, value, f"{unit} {'>' if above else '>='} 0{' or None' if optional else ''}")


def require_whole(value: object, name: str, least: int, most: int) -> None:
    """Refuse what is no integer in a range."""
    if not isinstance(value, Integral) or isinstance(value, bool) or not least <= int(value) <= most:
        refuse(name, value, f"an integer from {least} to {most}")


def require_function(value: object, name: str, expected: str) -> None:
    """Refuse what cannot be called, but for None."""
    if value is not None and not callable(value):
        refuse(name, value, f"{expected} or None")


def require_several(value: Any, name: str, expected: str) -> tuple[Any, ...]:
    """The items of an iterable that is neither text nor a mapping."""
    if isinstance(value, str | bytes | dict) or not isinstance(value, Iterable):
        refuse(name, value, expected)
    return tuple(value)


def require_search(
    *,
    time_limit: object = None,
    work_limit: object = None,
    workers: object = 1,
    seed: object = 0,
    gap: object = 0.0,
    warm_start: object = None,
    on_progress: object = None,
    stop: object = None,
) -> None:
    """Refuse settings of a search that are none; all of them are those of `dnnplan.solve`."""
    require_number(time_limit, "time_limit", "seconds", optional=True)
    require_number(work_limit, "work_limit", "units of work", optional=True)
    require_whole(workers, "workers", 1, MOST_THREADS)
    require_whole(seed, "seed", 0, LARGEST_SEED)
    require_number(gap, "gap", "a relative gap")
    if warm_start is not None:
        require_plan(warm_start, "warm_start")
    require_function(on_progress, "on_progress", "a function of a Progress")
    require_stop(stop)


def require_stop(stop: object) -> None:
    """Refuse a `stop` that cannot be asked; an event can be, once it is a `Cancellation`."""
    require_function(stop, "stop", "a function without parameters (dnnplan.Cancellation(), event.is_set)")
