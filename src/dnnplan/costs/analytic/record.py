"""The base of analytic models: frozen records that JSON can hold and that are checked when they are made."""

from __future__ import annotations

from collections.abc import Mapping

from dnnplan.instances.errors import InputError, Problem
from dnnplan.instances.fields import Record
from dnnplan.instances.validation.complete import structural_problems


class Checked(Record, kw_only=True):
    """A record whose values are checked on construction: `InputError` lists every problem."""

    def __post_init__(self) -> None:
        problems = structural_problems(self, type(self)) or self.contradictions()
        if problems:
            raise InputError(problems=problems)

    def contradictions(self) -> tuple[Problem, ...]:
        """What is wrong with values that are right one by one."""
        return ()


class DeviceModel(Checked, kw_only=True, tag_field="kind"):
    """Base of the models of devices; in JSON, `kind` names the model."""


def of_name(table: Mapping[str, float], name: str, default: float) -> float:
    """Entry of a name, else of ``*``, else the default."""
    return table.get(name, table.get("*", default))
