"""Everything that is wrong with an instance, at once: first its shape, then what it means."""

from __future__ import annotations

import re

from dnnplan.instances.errors import InputError, InstanceError, Problem
from dnnplan.instances.instance import FORMAT_VERSION, Instance
from dnnplan.instances.objective import parse_objective
from dnnplan.instances.validation.costs import cost_problems
from dnnplan.instances.validation.models import model_problems
from dnnplan.instances.validation.names import Names, check_unique
from dnnplan.instances.validation.ordering import ordering_problems
from dnnplan.instances.validation.platforms import platform_problems
from dnnplan.instances.validation.sections import task_problems, workload_problems
from dnnplan.instances.validation.sharing import sharing_problems
from dnnplan.instances.validation.structure import record_problems
from dnnplan.instances.wording import Report, at, show

FIRST_FORMAT = "1.0"
"""No solver of this version read the sections of ordering and grouping: files may say less in them."""

_KNOWN = "_valid"

__all__ = ["ensure_known_valid", "ensure_valid", "note_valid", "semantic_problems", "validate"]


def validate(instance: Instance) -> tuple[Problem, ...]:
    """List all problems of an instance, also of one that was built in Python.

    Returns
    -------
    problems of its shape (types, ranges, NaN), or, where there are none, of its meaning (unknown names,
    cycles, sizes of tables); empty for a valid instance.

    Examples
    --------
    >>> from dnnplan.instances import Instance, Layer, Model
    >>> bad = Instance(models=(Model(name="net", layers=(Layer(name="conv", flops=-4),)),))
    >>> print(*validate(bad))
    models[0].layers[0].flops: -4, expected >= 0
    """
    return record_problems(instance) or semantic_problems(instance)


def ensure_valid(instance: Instance, source: str | None = None) -> None:
    """Raise `InstanceError` with every problem of the instance, if there is one."""
    problems = validate(instance)
    if problems:
        raise InstanceError(problems=problems, source=source)
    note_valid(instance)


def note_valid(instance: Instance) -> None:
    """Remember of this very object that it has been found valid."""
    instance.__dict__[_KNOWN] = True


def ensure_known_valid(instance: Instance, source: str | None = None) -> None:
    """As `ensure_valid`, at once for an object that has been found valid before: where milliseconds count."""
    if _KNOWN not in instance.__dict__:
        ensure_valid(instance, source)


def semantic_problems(instance: Instance) -> tuple[Problem, ...]:
    """Problems of meaning of an instance whose shape is right."""
    report = Report()
    names = Names(instance)
    if not re.fullmatch(rf"{FORMAT_VERSION.split('.')[0]}\.[0-9]{{1,6}}", instance.format_version):
        report.add("format_version", f'{show(instance.format_version)}, expected "{FORMAT_VERSION}"')
    _objective_problems(instance.objective, report)
    if instance.platform is not None:
        platform_problems(instance.platform, "platform", report)
    check_unique((model.name for model in instance.models), "model", "models", report)
    for index, model in enumerate(instance.models):
        model_problems(model, names.devices, at("models", index), report)
    task_problems(instance, names, report)
    first_format = instance.format_version == FIRST_FORMAT
    if instance.ordering is not None:
        ordering_problems(instance.ordering, names.tasks, report, first_format=first_format)
    if instance.sharing is not None:
        sharing_problems(instance.sharing, names.tasks, report, first_format=first_format)
    cost_problems(instance, names, report)
    if instance.workload is not None:
        workload_problems(instance.workload, instance, names, report)
    return tuple(report.problems)


def _objective_problems(objective: str, report: Report) -> None:
    try:
        parse_objective(objective)
    except InputError as error:
        report.add("objective", str(error))
