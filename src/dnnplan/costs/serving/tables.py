"""What a batch of a stage takes, by the number of its samples: explicit tables, else analytic models."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dnnplan.costs.analytic import HOROWITZ, AnalyticModel, ComposedArray, SystolicArray, energy, work_of
from dnnplan.costs.analytic.work import Work
from dnnplan.costs.routes import FloatArray
from dnnplan.costs.serving.stages import Stage
from dnnplan.instances import Instance, InstanceError, Model, Problem
from dnnplan.instances.wording import Report, at, first_names, show

_LOGGER = logging.getLogger(__name__)

DEFAULT_BATCH = 8
"""Largest batch where neither the workload nor a table says one."""
MOST_SAMPLES = 4096
"""Batches larger than this are refused: tables hold every size."""
Rows = Mapping[str, Mapping[str, float]]


def largest_batch(instance: Instance) -> int:
    """`workload.max_batch`; else the largest size that every table has an entry up to; else 8.

    Raises
    ------
    InstanceError
        More than 4096.
    """
    stated = instance.workload.max_batch if instance.workload is not None else None
    tables = (*instance.costs.batch_latency.values(), *instance.costs.batch_energy.values())
    known = min((max(map(int, row)) for row in tables if row), default=DEFAULT_BATCH)
    largest = known if stated is None else stated
    if largest > MOST_SAMPLES:
        what = f"{largest} samples, expected at most {MOST_SAMPLES}"
        raise InstanceError(problems=[Problem("workload.max_batch", what)])
    return largest


def keys_of(model: str, stage: str, devices: Collection[str]) -> tuple[str, ...]:
    """Names that a stage on a device has in tables, the most specific one first.

    `devices` are the names of the device, its own (as a copy) first.

    >>> keys_of("net", "early", ("npu",))
    ('net/early@npu', 'early@npu', 'net/early', 'early')
    """
    names = (f"{model}/{stage}", stage)
    return (*(f"{name}@{device}" for device in devices for name in names), *names)


def filled(row: Mapping[str, float], largest: int, path: str, report: Report) -> FloatArray:
    """(B + 1,) entries of a table for 0 to B samples; 0 for none.

    Sizes between two entries are interpolated linearly. Batches smaller than the smallest entry cost as much as it
    does, as if they were padded. Entries that decrease are kept, with a warning.
    """
    sizes = np.array(sorted(map(int, row)), dtype=float)
    if not len(sizes) or sizes[-1] < largest:
        last = f"the largest entry is {sizes[-1]:g}" if len(sizes) else "there is no entry"
        report.add(path, f"{last}, expected one of {largest} samples, or a smaller workload.max_batch")
        return np.zeros(largest + 1)
    values = np.array([row[str(int(size))] for size in sizes], dtype=float)
    falls = np.flatnonzero(np.diff(values) < 0)
    if len(falls):
        a, b = falls[0], falls[0] + 1
        _LOGGER.warning(
            "%s: %g for %d samples, but %g for %d: larger batches are expected to cost as much or more",
            path,
            values[a],
            sizes[a],
            values[b],
            sizes[b],
        )
    return np.concatenate([[0.0], np.interp(np.arange(1, largest + 1), sizes, values)])


@dataclass(frozen=True, eq=False)
class AnalyticTables:
    """Latency and energy, (stages, B + 1), of a network on a device with an analytic model; energy None: not known.

    `cannot` names, for each stage, layers that the device cannot run.
    """

    latency: FloatArray
    energy: FloatArray | None
    cannot: tuple[tuple[str, ...], ...]


def analytic_tables(
    model: Model, stages: Sequence[Stage], analytic: AnalyticModel, largest: int
) -> AnalyticTables:
    """Sums over the layers of each stage, which run one after the other.

    L(stage, b) = sum over layers of L(layer, b), or less where the batch runs faster in parts (see `in_parts`). Energy
    is known for systolic arrays: `dnnplan.costs.analytic.energy` with the figures `HOROWITZ`.
    """
    work, sizes = work_of(model), np.arange(1, largest + 1)
    seconds = analytic.latency(work, sizes)
    joules = _energy(work, sizes, analytic)
    latency = np.zeros((len(stages), largest + 1))
    stage_energy = np.zeros_like(latency)
    cannot = []
    for k, stage in enumerate(stages):
        layers = list(stage.layers)
        latency[k, 1:] = seconds[layers].sum(axis=0)
        stage_energy[k, 1:] = 0.0 if joules is None else joules[layers].sum(axis=0)
        latency[k], stage_energy[k] = in_parts(latency[k], stage_energy[k])
        cannot.append(tuple(work.names[i] for i in layers if not np.isfinite(seconds[i]).all()))
    return AnalyticTables(latency, None if joules is None else stage_energy, tuple(cannot))


def in_parts(latency: FloatArray, joules: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Latency and energy (B + 1,) where a batch may run as two smaller ones, one after the other.

    L'(b) = min(L(b), min over a < b of L'(a) + L'(b - a)): worth it where the tensors of a whole batch do not fit on
    the chip, or where parts suit other shapes of a composed array. Equal where L is subadditive, as that of one shape
    without a buffer.

    >>> in_parts(np.array([0.0, 1.0, 2.5]), np.zeros(3))[0].tolist()
    [0.0, 1.0, 2.0]
    """
    latency, joules = latency.copy(), joules.copy()
    for b in range(2, len(latency)):
        halves = np.arange(1, b // 2 + 1)
        whole = latency[halves] + latency[b - halves]
        best = int(np.argmin(whole))
        if whole[best] < latency[b] * (1 - 1e-12):
            latency[b] = whole[best]
            joules[b] = joules[halves[best]] + joules[b - halves[best]]
    return latency, joules


def _energy(work: Work, sizes: np.ndarray, analytic: AnalyticModel) -> FloatArray | None:
    """Joules (L, B) of each layer on a systolic array, in the shape that it takes; None for other models."""
    if isinstance(analytic, SystolicArray):
        return energy(work, sizes, HOROWITZ, analytic)
    if isinstance(analytic, ComposedArray):
        each = np.stack([energy(work, sizes, HOROWITZ, array) for array in analytic.arrays()])
        chosen: FloatArray = np.take_along_axis(each, analytic.choice(work, sizes)[None], axis=0)[0]
        return chosen
    return None


def table_entry(
    table: Rows, keys: Sequence[str], largest: int, path: str, report: Report
) -> FloatArray | None:
    """Entries (B + 1,) of the first key that the table has; None: it has none of them."""
    for key in keys:
        if key in table:
            return filled(table[key], largest, at(path, key), report)
    return None


def missing_costs(keys: Sequence[str], device: str, cannot: Sequence[str]) -> str:
    """Why a stage has no latency on a device, and what to do; `cannot`: layers that its analytic model cannot run."""
    if cannot:
        return f"on device {show(device)}: its analytic model cannot run {first_names(cannot, len(cannot))}"
    return (
        f"on device {show(device)}: no costs, expected costs.batch_latency[{show(keys[-2])}], or an analytic model of "
        "the device (platform.devices[].analytic)"
    )
