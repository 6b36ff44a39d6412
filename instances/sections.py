"""The sections that ordering, grouping and serving read, and tables of costs."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from dnnplan.instances.canonical import Section
from dnnplan.instances.fields import (
    Count,
    Extensions,
    Fraction,
    LongName,
    Name,
    NonNegative,
    Number,
    Positive,
    PositiveCount,
    Record,
)

Matrix = tuple[tuple[Number | None, ...], ...]


class Condition(Record, kw_only=True):
    """Task `task` runs with `probability`, given that task `given` ran.

    `model`: outcomes ``independent`` of each other, or all tasks ``gated`` by the same outcome.
    """

    task: Name
    given: Name | None = None
    probability: Fraction
    model: Literal["independent", "gated"] = "independent"


class Ordering(Record, kw_only=True):
    """One device that runs its tasks one after the other.

    Parameters
    ----------
    closed
        The order repeats for ever; the cost is that of one period.
    start
        Whether the first task finds its blocks loaded (``warm``) or not.
    input
        Whether tasks see a ``fresh`` input each period or the ``same`` one.
    cache_bytes
        Memory for blocks beyond the path of the running task.
    switch
        Cost of running the column's task right after the row's, any number; null: not allowed. The diagonal is
        not read.
    conditions
        Tasks that run only sometimes; without one a task runs in every period.
    unit
        Unit of `switch`; null: none.
    resources
        Tools (columns) that tasks (rows) need, 0 or 1.
    slots
        Tools that fit in memory at once, those of the running task included; needed with `resources`.
    """

    closed: bool = False
    start: Literal["cold", "warm"] = "cold"
    input: Literal["fresh", "same"] = "fresh"
    cache_bytes: NonNegative | None = None
    switch: Matrix = ()
    resources: tuple[tuple[Annotated[int, Meta(ge=0, le=1)], ...], ...] = ()
    conditions: tuple[Condition, ...] = ()
    unit: str | None = None
    slots: PositiveCount | None = None


class Candidate(Record, kw_only=True):
    """A network that could serve `tasks` together: its cost, and the loss or affinity of each task in it.

    The loss of a task is to be small, its affinity (a score) large.
    """

    tasks: tuple[Name, ...]
    cost: NonNegative = 0
    loss: dict[Name, Number] = {}
    affinity: dict[Name, Number] = {}


class BlockCost(Record, kw_only=True):
    """What a block costs for one task, where that differs from the block; null: as the block."""

    bytes: NonNegative | None = None
    flops: NonNegative | None = None
    compute: NonNegative | None = None
    load: NonNegative | None = None


class Block(Record, kw_only=True):
    """A block of layers between branch points, for one copy.

    Parameters
    ----------
    tasks
        Bytes for single tasks where they differ.
    compute, load
        Cost of running it, and of bringing it into memory, in `Sharing.unit`; null: worked out from the platform.
    costs
        All figures for single tasks where they differ; a shared copy takes the largest of its tasks.
    """

    bytes: NonNegative = 0
    flops: NonNegative = 0
    tasks: dict[Name, NonNegative] = {}
    compute: NonNegative | None = None
    load: NonNegative | None = None
    costs: dict[Name, BlockCost] = {}


AFFINITY_ROUNDING = 1e-6
"""How far a measured affinity may be from what it has to be: at most 1, 1 for a task and itself, symmetric."""


class Sharing(Record, kw_only=True):
    """What tasks could share.

    Parameters
    ----------
    branch_points
        Places where tasks may part, from the input on.
    affinity
        ``[branch point][task][task]``, symmetric and at most 1; 1 means that two tasks need the same features, as
        every task and itself.
    blocks
        The block behind each branch point, shared by the groups of that branch point.
    candidates
        Networks to choose from, where groups may overlap.
    stem
        The block before the first branch point, shared by all tasks.
    head
        The block behind the last one, of which each task has its own.
    groups
        A task graph that is given: partition of the tasks at each branch point, each a refinement of the one before.
    unit
        Unit of the costs `compute` and `load` of blocks, e.g. ``s`` or ``J``; null: none.
    """

    branch_points: tuple[LongName, ...] = ()
    affinity: tuple[Matrix, ...] = ()
    blocks: tuple[Block, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    stem: Block | None = None
    head: Block | None = None
    groups: tuple[tuple[tuple[Name, ...], ...], ...] = ()
    unit: str | None = None


class Costs(Section, kw_only=True):
    """Tables that win over predictors, which win over analytic models.

    Parameters
    ----------
    latency, energy
        Seconds and joules: ``[model][layer][device]``. Where a layer has a row in `latency`, only the devices
        in that row can run it.
    transfer
        Seconds: ``[model][tensor][from][to]``, ends being devices or the host.
    batch_latency, batch_energy
        Seconds and joules: ``[stage][batch]`` of a batch that runs a stage. A stage is named ``stage``,
        ``model/stage``, or either with ``@device``; the most specific name wins.
    stage_switch
        Seconds that a batch takes longer for each of its samples that comes back from memory: ``[stage]``.
    """

    latency: dict[Name, dict[LongName, dict[Name, NonNegative]]] = {}
    energy: dict[Name, dict[LongName, dict[Name, NonNegative]]] = {}
    transfer: dict[Name, dict[LongName, dict[Name, dict[Name, NonNegative]]]] = {}
    batch_latency: dict[str, dict[str, NonNegative]] = {}
    batch_energy: dict[str, dict[str, NonNegative]] = {}
    stage_switch: dict[str, NonNegative] = {}


class Arrivals(Record, kw_only=True):
    """How samples of one stream arrive.

    `times` in seconds for a trace; `rate` in samples per second; `cv` is the coefficient of variation of a
    gamma process; `rates` and `dwell` are the states of a Markov-modulated Poisson process.

    Parameters
    ----------
    exits
        Where each sample of a trace leaves: the name of an exit; empty: at the end.
    confidences
        Instead: how sure each sample of a trace is at each exit before the last, in order.
    """

    kind: Literal["trace", "poisson", "gamma", "mmpp", "periodic"] = "poisson"
    rate: Positive | None = None
    cv: Positive | None = None
    jitter: NonNegative = 0
    times: tuple[NonNegative, ...] = ()
    rates: tuple[NonNegative, ...] = ()
    dwell: tuple[Positive, ...] = ()
    exits: tuple[str, ...] = ()
    confidences: tuple[tuple[Number, ...], ...] = ()


class Stream(Record, kw_only=True):
    """One source of samples for one task, with its service-level objective in seconds.

    Parameters
    ----------
    exits
        Probability to leave at each exit; the rest leaves at the end.
    thresholds
        Confidence from which a sample leaves at an exit; without one none leaves there.
    """

    name: Name
    task: Name
    arrivals: Arrivals = Arrivals()
    slo: Positive | None = None
    weight: NonNegative = 1
    exits: dict[str, Fraction] = {}
    thresholds: dict[str, Number] = {}


class Workload(Record, kw_only=True):
    """The samples that serving has to serve.

    Parameters
    ----------
    parking
        What it costs to continue with samples after other batches: nothing (``free``), or the time in which
        what they have computed comes back from ``memory``.
    """

    streams: tuple[Stream, ...] = ()
    horizon: Positive | None = None
    max_batch: PositiveCount | None = None
    parking: Literal["free", "memory"] = "free"


class Limits(Record, kw_only=True):
    """Upper limits on what a plan may cost; None: no limit.

    latency, tardiness and deadline (of every job, from its release) in seconds, energy in joules, memory in
    bytes per memory, the rest in the unit of what they name.
    """

    latency: NonNegative | None = None
    energy: NonNegative | None = None
    edp: NonNegative | None = None
    max_load: NonNegative | None = None
    traffic: NonNegative | None = None
    weighted_completion: NonNegative | None = None
    tardiness: NonNegative | None = None
    deadline: NonNegative | None = None
    memory: NonNegative | None = None
    variety: Number | None = None
    size: NonNegative | None = None
    calls_per_device: PositiveCount | None = None
    switches: Count | None = None
    groups: PositiveCount | None = None
    budget: NonNegative | None = None
    extensions: Extensions = {}
    task_variety: Number | None = None
    execution_cost: NonNegative | None = None
    switching: NonNegative | None = None
    loss: Number | None = None
