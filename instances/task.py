"""What is to be done: tasks that activate models, and the order some of them must keep."""

from __future__ import annotations

from dnnplan.instances.fields import LongName, Name, NonNegative, Positive, PositiveCount, Record


class Task(Record, kw_only=True):
    """A use of a model.

    Parameters
    ----------
    batch
        Samples in one job.
    blocks
        The model's layers cut into consecutive blocks, for grouping and ordering.
    release
        Earliest start of the first job, seconds.
    deadline
        Due date of a job, seconds after its release; hard only under ``limits: {tardiness: 0}``.
    period
        Seconds between the releases of successive jobs; None: one job.
    weight
        Its weight in weighted completion and tardiness.
    """

    name: Name
    model: Name
    batch: PositiveCount = 1
    blocks: tuple[tuple[LongName, ...], ...] = ()
    release: NonNegative = 0
    deadline: Positive | None = None
    period: Positive | None = None
    weight: NonNegative = 1


class Precedence(Record, kw_only=True):
    """Task `after` starts when task `before` has finished."""

    before: Name
    after: Name
