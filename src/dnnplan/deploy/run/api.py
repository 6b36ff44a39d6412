"""Run a folder of parts and compare it with its prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dnnplan.costs import Evaluation
from dnnplan.costs.explain import covered
from dnnplan.deploy.differences import difference, tolerance_of
from dnnplan.deploy.run.cores import Seat, seats
from dnnplan.deploy.run.executor import Executor, Pass, begins
from dnnplan.deploy.run.folder import Folder, open_folder
from dnnplan.deploy.run.guard import require_timeout
from dnnplan.deploy.run.inputs import input_arrays
from dnnplan.deploy.run.machine import core_warnings, load_warning
from dnnplan.deploy.run.measured import measured_evaluation
from dnnplan.deploy.run.originals import original_outputs
from dnnplan.deploy.run.report import (
    HIGH,
    LOW,
    DeviceTimes,
    RunReport,
    SegmentTimes,
    TransferTimes,
    median_pass,
    quantiles,
)
from dnnplan.deploy.run.sessions import Array
from dnnplan.instances.errors import InputError

WARM_UP = 5
PARTS, ORIGINALS = "parts run one after the other", "original models"


class Outcome(NamedTuple):
    """A report, and the median pass as an evaluation of the plan (None where the folder holds no plan)."""

    report: RunReport
    evaluation: Evaluation | None


def run(
    folder: str | Path,
    *,
    repeats: int = 50,
    warm_up: int = WARM_UP,
    cores: Mapping[str, Sequence[int]] | None = None,
    providers: Mapping[str, str] | None = None,
    share_cores: bool = False,
    inputs: Mapping[str, Array] | None = None,
    models: Mapping[str, Path] | None = None,
    timeout: float = 60.0,
    progress: Callable[[str], None] | None = None,
) -> RunReport:
    """Execute what `dnnplan split` wrote, and compare it with its prediction.

    Parameters
    ----------
    folder
        A folder with a manifest.
    repeats, warm_up
        Passes that are measured, and passes before them that are not.
    cores, providers
        By device: the cores of its threads, and the execution provider of its sessions.
    share_cores
        Whether devices may have cores in common.
    inputs
        Arrays by value (``task/job/tensor``) or ONNX name; others are made up.
    models
        Original ONNX files by model: outputs are compared with theirs, else with those of the parts run serially.
    timeout
        Seconds after which a pass is given up, and a run of an original model.

    Raises
    ------
    FormatError, InputError
        The folder, a device, core, provider, input or number is not usable.
    RunError
        A segment or an original model fails, or takes longer than `timeout`.
    MissingDependencyError
        onnxruntime is not installed.
    """
    opened = open_folder(folder)
    places = seats(opened.manifest.devices, cores, providers, share=share_cores)
    return run_folder(
        opened,
        places,
        repeats=repeats,
        warm_up=warm_up,
        inputs=inputs,
        models=models,
        timeout=timeout,
        shared=share_cores,
        progress=progress,
    ).report


def run_folder(
    folder: Folder,
    places: Mapping[str, Seat],
    *,
    repeats: int,
    warm_up: int = WARM_UP,
    inputs: Mapping[str, Array] | None = None,
    models: Mapping[str, Path] | None = None,
    timeout: float = 60.0,
    shared: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Outcome:
    """The same for a folder that is open, with the median pass; see `run`."""
    if repeats < 1 or warm_up < 0:
        raise InputError(f"repeats {repeats}, warm-up {warm_up}: expected >= 1 and >= 0")
    require_timeout(timeout)
    say = progress or (lambda _: None)
    used = [core for device in folder.program.steps for core in places[device].cores]
    warnings = [*load_warning(), *core_warnings(used, shared=shared)]
    say(f"opening {len(folder.files)} parts")
    arrays = input_arrays(folder.manifest, inputs, folder.batch)
    with Executor(folder.program, folder.files, places, arrays, timeout=timeout, shared=shared) as executor:
        reference, label = {value: executor.reference[value] for value in folder.program.outputs}, PARTS
        if models is not None:
            say("running the original models")
            reference = original_outputs(folder.manifest, models, arrays, batch=folder.batch, timeout=timeout)
            label = ORIGINALS
            if lost := [value for value in folder.program.outputs if value not in reference]:
                raise InputError(f"the manifest does not say of which model {lost[0]!r} is an output")
        apart = [checked_pass(executor, reference)]
        for _ in range(warm_up):
            executor.run()
        say(f"{repeats} passes")
        passes = [executor.run() for _ in range(repeats)]
        apart.append(checked_pass(executor, reference))
    report = make_report(folder, places, passes, max(apart), label, warnings)
    if folder.evaluation is None:
        return Outcome(report, None)
    one = median_pass(passes)
    return Outcome(report, measured_evaluation(folder.evaluation, one, folder.program))


def checked_pass(executor: Executor, reference: Mapping[str, Array]) -> float:
    """Largest difference of the outputs of a pass that starts from buffers without any sense in them."""
    executor.poison()
    executor.run()
    found = executor.outputs()
    return max((difference(found[value], reference[value]) for value in found), default=0.0)


def make_report(
    folder: Folder,
    places: Mapping[str, Seat],
    passes: Sequence[Pass],
    apart: float,
    reference: str,
    warnings: Iterable[str],
) -> RunReport:
    """Medians of passes beside what the manifest predicts."""
    manifest = folder.manifest
    latency = quantiles([one.latency for one in passes])
    devices = _device_times(folder, places, passes)
    begun = [(one, begins(folder.program, one)) for one in passes]
    tolerance = tolerance_of(value.dtype for value in manifest.values)
    return RunReport(
        name=manifest.name,
        predicted=manifest.predicted.latency,
        measured=latency.median,
        outputs_equal=apart <= tolerance,
        difference=min(apart, np.finfo(np.float64).max),
        tolerance=tolerance,
        reference=reference,
        repeats=len(passes),
        latency=latency,
        segments=tuple(
            _segment_times(folder, name, begun) for own in manifest.order.values() for name in own
        ),
        transfers=tuple(_transfer_times(folder, key, passes) for key in passes[0].copied),
        devices=devices,
        warnings=tuple(warnings),
    )


def copies_inside(folder: Folder) -> bool:
    """Whether the plan counts waking up and copying inputs as part of a segment (no overlap)."""
    return folder.evaluation is not None and not folder.evaluation.problem.execution.overlap


def _segment_times(
    folder: Folder, name: str, passes: Sequence[tuple[Pass, Mapping[str, float]]]
) -> SegmentTimes:
    begin, end = folder.manifest.predicted.segments.get(name, (0.0, 0.0))
    first = [begun[name] if copies_inside(folder) else one.stamps[name][1] for one, begun in passes]
    spans = np.array([(start, one.stamps[name][2]) for start, (one, _) in zip(first, passes, strict=True)])
    low, middle, high = np.quantile(spans[:, 1] - spans[:, 0], [LOW, 0.5, HIGH]).tolist()
    return SegmentTimes(
        name=name,
        device=folder.manifest.segment_of[name].device,
        predicted=end - begin,
        predicted_start=begin,
        measured=middle,
        measured_start=float(np.median(spans[:, 0])),
        low=low,
        high=high,
    )


def _transfer_times(folder: Folder, key: tuple[str, str], passes: Sequence[Pass]) -> TransferTimes:
    value, target = key
    spans = [one.copied[key] for one in passes]
    source = folder.program.home[value] or ""
    size = next((t.bytes for t in folder.manifest.transfers if (t.value, t.target) == key), 0)
    predicted = None
    if folder.evaluation is not None and value in folder.evaluation.problem.tensors:
        problem = folder.evaluation.problem
        ends = problem.devices.index(source), problem.devices.index(target)
        predicted = float(problem.move_seconds(problem.tensors.index(value), *ends))
    return TransferTimes(
        value=value,
        source=source,
        target=target,
        bytes=int(size),
        predicted=predicted,
        measured=float(np.median([end - begin for begin, end in spans])),
    )


def _device_times(
    folder: Folder, places: Mapping[str, Seat], passes: Sequence[Pass]
) -> tuple[DeviceTimes, ...]:
    found = []
    for device, steps in folder.program.steps.items():
        busy = [covered((one.stamps[s.name][0], one.stamps[s.name][2]) for s in steps) for one in passes]
        shares = [seconds / one.latency for seconds, one in zip(busy, passes, strict=True)]
        seat = places[device]
        found.append(
            DeviceTimes(
                name=device,
                cores=seat.cores,
                provider=seat.provider,
                busy=float(np.median(busy)),
                share=float(np.median(shares)),
            )
        )
    return tuple(found)
