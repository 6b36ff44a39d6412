"""The instance: one file, whole and frozen."""

from __future__ import annotations

import hashlib
from functools import cached_property

from msgspec.structs import replace

from dnnplan.instances.canonical import canonical
from dnnplan.instances.fields import Extensions, Record
from dnnplan.instances.model import Model
from dnnplan.instances.platform import Platform
from dnnplan.instances.sections import Costs, Limits, Ordering, Sharing, Workload
from dnnplan.instances.task import Precedence, Task

FORMAT_VERSION = "1.2"


class Instance(Record, kw_only=True, dict=True):
    """A planning problem: networks, tasks, platform, and what to optimise.

    Every section is optional; each problem says which it reads. Without `tasks` there is one task for each
    model, named like it.

    Parameters
    ----------
    objective
        ``latency``, a weighted sum ``latency=1,energy=0.2``, or lexicographic ``latency>energy``.
    """

    format_version: str = FORMAT_VERSION
    name: str = ""
    source: str = ""
    objective: str = "latency"
    limits: Limits = Limits()
    platform: Platform | None = None
    models: tuple[Model, ...] = ()
    tasks: tuple[Task, ...] = ()
    precedences: tuple[Precedence, ...] = ()
    ordering: Ordering | None = None
    sharing: Sharing | None = None
    costs: Costs = Costs()
    workload: Workload | None = None
    extensions: Extensions = {}

    def hash(self) -> str:
        """SHA-256 of the canonical JSON, as hexadecimal: the identity that plans refer to.

        Equal instances have equal hashes, whether or not a file spells defaults out or writes 1 as 1.0, and whatever
        MINOR version of the format it states.
        """
        return self._hash

    @cached_property
    def _hash(self) -> str:
        return hashlib.sha256(canonical(replace(self, format_version=FORMAT_VERSION))).hexdigest()

    def effective_tasks(self) -> tuple[Task, ...]:
        """The tasks, or one task for each model where none is given."""
        return self.tasks or tuple(Task(name=m.name, model=m.name) for m in self.models)
