"""Calibrate the costs of a split plan from runs of it, and of the networks that it is made of."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dnnplan.costs import evaluate, mapping_problem
from dnnplan.deploy.calibrate.fit import Fit, SegmentSample, busy_shares, fit, wake_times
from dnnplan.deploy.calibrate.layers import LayerTimes, layer_times
from dnnplan.deploy.calibrate.networks import Network, nodes_of_layers, read_network
from dnnplan.deploy.calibrate.platform import calibrated_instance
from dnnplan.deploy.calibrate.replan import replace_hash, replan
from dnnplan.deploy.calibrate.report import Calibration, CalibrationReport, DeviceFit, NetworkTimes
from dnnplan.deploy.calibrate.timing import Timings, check_seats, time_networks
from dnnplan.deploy.run.cores import Seat, seats
from dnnplan.deploy.run.executor import Executor, Pass
from dnnplan.deploy.run.folder import Folder, open_folder
from dnnplan.deploy.run.inputs import input_arrays
from dnnplan.deploy.run.machine import core_warnings, load_warning
from dnnplan.deploy.run.report import quantiles
from dnnplan.instances import Instance, Plan
from dnnplan.instances.errors import InputError

ORIGINALS, PARTS = "original models", "parts"
WARM_UP = 3


def calibrate(
    folder: str | Path,
    *,
    repeats: int = 30,
    seconds: float = 20.0,
    cores: Mapping[str, Sequence[int]] | None = None,
    providers: Mapping[str, str] | None = None,
    models: Mapping[str, Path] | None = None,
    plan: bool = False,
    time_limit: float = 20.0,
    workers: int = 1,
    seed: int = 0,
    timeout: float = 60.0,
    progress: Callable[[str], None] | None = None,
) -> Calibration:
    """Measure what layers, calls and copies take on this machine, and write it into the instance.

    Layers are timed in whole networks on the cores of each device, alone and while all devices work; calls, changes of
    layout and copies come from passes of the split plan.

    Parameters
    ----------
    folder
        A folder that `dnnplan split` wrote.
    repeats
        Passes of the plan.
    seconds
        About how long networks are timed.
    models
        Original ONNX files by model; None: the parts are timed instead, which know less about what a cut costs.
    plan
        Whether to plan again with the new costs, for `time_limit` seconds.

    Raises
    ------
    InputError
        Devices that share cores, or networks that were not read from ONNX files.
    RunError
        A part fails, or hangs.
    MissingDependencyError
        onnxruntime is not installed.
    """
    say = progress or (lambda _: None)
    opened = open_folder(folder)
    if opened.instance is None or opened.evaluation is None:
        raise InputError("has no instance.json and plan.json: nothing to calibrate", source=str(folder))
    if repeats < 2 or not seconds > 0:
        raise InputError(f"repeats {repeats}, seconds {seconds}: expected at least 2, and more than 0")
    places = seats(opened.manifest.devices, cores, providers)
    check_seats(places)
    warnings = [*load_warning(), *core_warnings([c for seat in places.values() for c in seat.cores])]
    networks = _networks(opened, models)
    with tempfile.TemporaryDirectory() as name:
        arrays = input_arrays(opened.manifest)
        with Executor(opened.program, opened.files, places, arrays, timeout=timeout) as executor:
            sizes = {value: array.nbytes for value, array in executor.reference.items()}
            say(f"{repeats} passes of {len(opened.files)} parts")
            passes = _passes(executor, repeats // 2)
            say(f"{len(networks)} networks on {len(places)} devices, about {seconds:.0f} s")
            timings = time_networks(networks, places, Path(name), seconds=seconds)
            passes += _passes(executor, repeats - repeats // 2)
        layers = {m.name: [layer.name for layer in m.layers] for m in opened.instance.models}
        times = layer_times(networks, timings, layers)
    share = busy_shares(opened.program, _spans(passes))
    found = _fit(opened, passes, times.at(share), sizes)
    source = PARTS if models is None else ORIGINALS
    work = _Work(opened, places, times, found, source)
    instance, new = work.instance(share), None
    after = evaluate(instance, replace_hash(opened.evaluation.plan, instance)).cost.latency
    if plan:
        say(f"planning again, {time_limit:g} s")
        start = dict.fromkeys(share, 1.0)
        instance, new, share = replan(work.instance, start, time_limit=time_limit, workers=workers, seed=seed)
    report = work.report(passes, timings, share, after, new, instance, warnings)
    return Calibration(report=report, instance=instance, plan=new)


def _passes(executor: Executor, count: int) -> list[Pass]:
    for _ in range(WARM_UP):
        executor.run()
    return [executor.run() for _ in range(count)]


def _spans(passes: Sequence[Pass]) -> dict[str, tuple[float, float]]:
    """Median start and end of each segment, seconds."""
    return {
        name: (
            float(np.median([one.stamps[name][0] for one in passes])),
            float(np.median([one.stamps[name][2] for one in passes])),
        )
        for name in passes[0].stamps
    }


def _networks(opened: Folder, models: Mapping[str, Path] | None) -> list[Network]:
    """What is timed: the originals, or the parts of the first job of each model."""
    assert opened.instance is not None
    manifest = opened.manifest
    seeds = {entry.name: entry.seed for entry in manifest.models}
    names = list(dict.fromkeys(segment.model for segment in manifest.segments))
    nodes = {model: nodes_of_layers(opened.instance, model) for model in names}
    if models is not None:
        if missing := [model for model in names if model not in models]:
            raise InputError(f"the original of model {missing[0]!r} is not given (--models)")
        return [read_network(m, models[m], m, nodes[m], seed=seeds.get(m)) for m in names]
    found = []
    for model in names:
        first = next((s.task, s.job) for s in manifest.segments if s.model == model)
        own = [s for s in manifest.segments if (s.task, s.job) == first]
        found += [read_network(s.name, opened.files[s.name], model, nodes[model]) for s in own]
    return found


def _fit(
    opened: Folder,
    passes: Sequence[Pass],
    table: Mapping[str, Mapping[str, Mapping[str, float]]],
    sizes: Mapping[str, int],
) -> Fit:
    samples = []
    for segment in opened.manifest.segments:
        rows = table[segment.model]
        took = np.median([one.stamps[segment.name][2] - one.stamps[segment.name][1] for one in passes])
        samples.append(
            SegmentSample(
                layers=sum(rows[layer][segment.device] for layer in segment.layers),
                read=_inner_bytes(opened, segment.inputs, sizes),
                left=_inner_bytes(opened, segment.outputs, sizes),
                measured=float(took),
            )
        )
    copies = []
    for value, device in passes[0].copied:
        spans = [one.copied[value, device] for one in passes]
        copies.append((float(sizes[value]), float(np.median([end - begin for begin, end in spans]))))
    jobs = len({(segment.task, segment.job) for segment in opened.manifest.segments})
    wakes = wake_times(opened.program, passes)
    waits = sum(2 * len(own) > len(passes) for own in wakes.values())
    return fit(samples, copies, [one for own in wakes.values() for one in own], jobs=jobs, waits=waits)


def _inner_bytes(opened: Folder, values: Iterable[str], sizes: Mapping[str, int]) -> float:
    """Bytes of those values that one segment makes and another reads."""
    known = opened.manifest.value_of
    return float(sum(sizes[value] for value in values if known[value].source and known[value].targets))


@dataclass(frozen=True)
class _Work:
    """Everything that instance and report are made of."""

    opened: Folder
    places: Mapping[str, Seat]
    times: LayerTimes
    found: Fit
    source: str

    def instance(self, share: Mapping[str, float]) -> Instance:
        """The calibrated instance for shares of busy time."""
        assert self.opened.instance is not None
        problem = mapping_problem(self.opened.instance)
        return calibrated_instance(problem, self.times.at(share), self.found, self._notes(share))

    def _notes(self, share: Mapping[str, float]) -> dict[str, Any]:
        found = self.found
        return {
            "alone": {device: self.alone(device) for device in self.places},
            "slow_down": {device: self.slow_down(device) for device in self.places},
            "share": {device: round(value, 6) for device, value in share.items()},
            **asdict(found),
            "timed": self.source,
        }

    def alone(self, device: str) -> float:
        """Seconds of all jobs on one device, one after the other, with the others idle."""
        assert self.opened.instance is not None
        jobs = {(s.task, s.job): s.model for s in self.opened.manifest.segments}
        return sum(self._sum(self.times.alone, model, device) + self.found.call for model in jobs.values())

    def slow_down(self, device: str) -> float:
        """By how much all layers together take longer while the other devices work."""
        one = sum(self._sum(self.times.alone, model, device) for model in self.times.alone)
        two = sum(self._sum(self.times.together, model, device) for model in self.times.together)
        return two / one - 1 if one > 0 else 0.0

    def _sum(self, table: Mapping[str, Mapping[str, Mapping[str, float]]], model: str, device: str) -> float:
        return sum(row[device] for row in table[model].values())

    def report(
        self,
        passes: Sequence[Pass],
        timings: Mapping[tuple[str, str], Timings],
        share: Mapping[str, float],
        after: float,
        new: Plan | None,
        instance: Instance,
        warnings: Sequence[str],
    ) -> CalibrationReport:
        """The report."""
        latency = quantiles([one.latency for one in passes])
        found = self.found
        alone = {device: self.alone(device) for device in self.places}
        return CalibrationReport(
            name=self.opened.manifest.name,
            measured=latency.median,
            noise=latency.noise,
            predicted_before=self.opened.manifest.predicted.latency,
            predicted_after=after,
            fit=asdict(found),
            link_latency=found.link_latency,
            link_bandwidth=found.link_bandwidth,
            networks_from=self.source,
            devices=tuple(
                DeviceFit(
                    name=device,
                    cores=seat.cores,
                    provider=seat.provider,
                    slow_down=self.slow_down(device),
                    share=share[device],
                    alone=alone[device],
                )
                for device, seat in self.places.items()
            ),
            networks=tuple(
                NetworkTimes(network=n, device=d, alone=t.alone.seconds, together=t.together.seconds)
                for (n, d), t in timings.items()
            ),
            best_alone=min(alone.values()),
            replanned=None if new is None else evaluate(instance, new).cost.latency,
            warnings=tuple(warnings),
        )
