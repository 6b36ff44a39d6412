"""What is measured for a calibration, and what follows from it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dnnplan.costs import evaluate, mapping_problem
from dnnplan.deploy.calibrate.fit import Fit, SegmentSample, busy_shares, fit, link_factor, wake_times
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
from dnnplan.deploy.run.report import Quantiles, quantiles
from dnnplan.deploy.sources import whole_model
from dnnplan.instances import Instance
from dnnplan.instances.errors import InputError

ORIGINALS, PARTS = "original models", "parts"
WARM_UP = 3
MOST_NOISE, MOST_SPREAD = 0.03, 0.15
"""A/A noise, and relative distance of the quantiles of passes, above which a calibration is doubtful."""


def gather(
    folder: str | Path,
    *,
    repeats: int = 30,
    seconds: float = 20.0,
    cores: Mapping[str, Sequence[int]] | None = None,
    providers: Mapping[str, str] | None = None,
    models: Mapping[str, Path] | None = None,
    timeout: float = 60.0,
    progress: Callable[[str], None] = lambda _: None,
) -> Gathered:
    """Do all measurements of `dnnplan.deploy.calibrate.calibrate`; parameters and errors are its."""
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
            progress(f"{repeats} passes of {len(opened.files)} parts")
            passes = _passes(executor, repeats // 2)
            progress(f"{len(networks)} networks on {len(places)} devices, about {seconds:.0f} s")
            timings = time_networks(networks, places, Path(name), seconds=seconds)
            passes += _passes(executor, repeats - repeats // 2)
        layers = {m.name: [layer.name for layer in m.layers] for m in opened.instance.models}
        times = layer_times(networks, timings, layers)
    share = busy_shares(opened.program, _spans(passes))
    found = _fit(opened, passes, times.at(share), sizes)
    gathered = Gathered(
        opened=opened,
        places=places,
        passes=tuple(passes),
        timings=timings,
        times=times,
        share=share,
        fit=found,
        source=PARTS if _by_parts(opened, models) else ORIGINALS,
        warnings=tuple(warnings),
    )
    measured = float(np.median([one.latency for one in passes]))
    link = link_factor(lambda factor: gathered.with_link(factor).predicted(), measured)
    return gathered.with_link(link)


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
    task_models = _task_models(opened)
    nodes = {model: nodes_of_layers(opened.instance, model) for model in task_models.values()}
    if models is not None and not _by_parts(opened, models):
        entries = {entry.name: entry for entry in manifest.models}
        if missing := [model for model in nodes if model not in models]:
            raise InputError(f"the original of model {missing[0]!r} is not given (--models)")
        return [read_network(m, whole_model(entries[m], models[m]), m, nodes[m]) for m in nodes]
    found = []
    for model in nodes:
        first = next((s.task, s.job) for s in manifest.segments if task_models[s.task] == model)
        own = [s for s in manifest.segments if (s.task, s.job) == first]
        found += [read_network(s.name, opened.files[s.name], model, nodes[model]) for s in own]
    return found


def _task_models(opened: Folder) -> dict[str, str]:
    """The model of each task in the instance that is mapped."""
    assert opened.instance is not None
    return {task.name: task.model for task in opened.instance.effective_tasks()}


def _by_parts(opened: Folder, models: Mapping[str, Path] | None) -> bool:
    """Whether parts are timed: the originals are not known, or a task graph has made one network of several."""
    originals = {entry.name for entry in opened.manifest.models}
    return models is None or not set(_task_models(opened).values()) <= originals


def _fit(
    opened: Folder,
    passes: Sequence[Pass],
    table: Mapping[str, Mapping[str, Mapping[str, float]]],
    sizes: Mapping[str, int],
) -> Fit:
    samples, models = [], _task_models(opened)
    for segment in opened.manifest.segments:
        rows = table[models[segment.task]]
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


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """Everything that was measured.

    Attributes
    ----------
    passes
        Of the split plan.
    timings
        Of each network on each device.
    times
        Of each layer on each device.
    share
        By device, the part of its busy time in which another device was busy too.
    source
        What was timed: original models, or parts.
    """

    opened: Folder
    places: Mapping[str, Seat]
    passes: tuple[Pass, ...]
    timings: Mapping[tuple[str, str], Timings]
    times: LayerTimes
    share: Mapping[str, float]
    fit: Fit
    source: str
    warnings: tuple[str, ...]

    def with_link(self, factor: float) -> Gathered:
        """The same with another factor on what transfers take."""
        return replace(self, fit=replace(self.fit, link=factor))

    def calibration(self) -> Calibration:
        """The instance for the plan that was run."""
        instance = self.instance(self.share)
        return Calibration(report=self._report(self.share), instance=instance)

    def planned_again(self, *, time_limit: float, workers: int = 1, seed: int = 0) -> Calibration:
        """A new plan, and the instance for it.

        Raises
        ------
        InfeasibleError
            There is no plan.
        """
        # Most of the time all devices work: better plans see to that.
        start = dict.fromkeys(self.share, 1.0)
        instance, plan, share = replan(
            self.instance, start, time_limit=time_limit, workers=workers, seed=seed
        )
        latency = evaluate(instance, plan).cost.latency
        return Calibration(report=self._report(share, latency), instance=instance, plan=plan)

    def instance(self, share: Mapping[str, float]) -> Instance:
        """The calibrated instance for shares of busy time."""
        assert self.opened.instance is not None
        notes: dict[str, Any] = {
            "alone": {device: self.alone(device) for device in self.places},
            "slow_down": {device: self.slow_down(device) for device in self.places},
            "share": {device: round(value, 6) for device, value in share.items()},
            **asdict(self.fit),
            "timed": self.source,
        }
        problem = mapping_problem(self.opened.instance)
        return calibrated_instance(problem, self.times.at(share), self.fit, notes)

    def alone(self, device: str) -> float:
        """Seconds of all jobs on one device, one after the other, with the others idle."""
        models = _task_models(self.opened)
        jobs = {(s.task, s.job): models[s.task] for s in self.opened.manifest.segments}
        if self.source == ORIGINALS:
            return sum(self.timings[model, device].in_turn for model in jobs.values())
        return sum(_sum(self.times.alone, model, device) + self.fit.call for model in jobs.values())

    def slow_down(self, device: str) -> float:
        """By how much all layers together take longer while the other devices work."""
        one = sum(_sum(self.times.alone, model, device) for model in self.times.alone)
        two = sum(_sum(self.times.together, model, device) for model in self.times.together)
        return two / one - 1 if one > 0 else 0.0

    def predicted(self) -> float:
        """Latency of the plan that was run, by the calibrated costs; seconds."""
        assert self.opened.evaluation is not None
        instance = self.instance(self.share)
        return float(evaluate(instance, replace_hash(self.opened.evaluation.plan, instance)).cost.latency)

    def _report(self, share: Mapping[str, float], replanned: float | None = None) -> CalibrationReport:
        latency = quantiles([one.latency for one in self.passes])
        alone = {device: self.alone(device) for device in self.places}
        return CalibrationReport(
            name=self.opened.manifest.name,
            measured=latency.median,
            noise=latency.noise,
            predicted_before=self.opened.manifest.predicted.latency,
            predicted_after=self.predicted(),
            fit=asdict(self.fit),
            link_latency=self.fit.link_latency,
            link_bandwidth=self.fit.link_bandwidth,
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
                for (n, d), t in self.timings.items()
            ),
            best_alone=min(alone.values()),
            replanned=replanned,
            warnings=(*self.warnings, *_doubts(latency)),
        )


def _doubts(latency: Quantiles) -> list[str]:
    """A warning where passes vary so much that what was fitted means little."""
    spread = latency.high / latency.low - 1 if latency.low > 0 else 0.0
    if latency.noise < MOST_NOISE and spread < MOST_SPREAD:
        return []
    return [
        f"passes vary (A/A noise {100 * latency.noise:.1f} %, 10 to 90 % of them {100 * spread:.0f} % apart): "
        "calibrate again when the machine is quiet"
    ]


def _sum(table: Mapping[str, Mapping[str, Mapping[str, float]]], model: str, device: str) -> float:
    return sum(row[device] for row in table[model].values())
