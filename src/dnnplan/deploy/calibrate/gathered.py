"""What was measured for a calibration, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from dnnplan.costs import evaluate, mapping_problem
from dnnplan.deploy.calibrate.fit import Fit
from dnnplan.deploy.calibrate.layers import LayerTimes
from dnnplan.deploy.calibrate.platform import calibrated_instance, devices_for_all
from dnnplan.deploy.calibrate.replan import replace_hash, replan
from dnnplan.deploy.calibrate.report import Calibration, CalibrationReport, DeviceFit, NetworkTimes
from dnnplan.deploy.calibrate.timing import Timings
from dnnplan.deploy.run.cores import Seat
from dnnplan.deploy.run.executor import Pass
from dnnplan.deploy.run.folder import Folder
from dnnplan.deploy.run.report import Quantiles, quantiles
from dnnplan.instances import Instance

ORIGINALS, PARTS = "original models", "parts"
MOST_NOISE, MOST_SPREAD = 0.03, 0.15
"""A/A noise, and relative distance of the quantiles of passes, above which a calibration is doubtful."""


def task_models(opened: Folder) -> dict[str, str]:
    """The model of each task in the instance that is mapped."""
    assert opened.instance is not None
    return {task.name: task.model for task in opened.instance.effective_tasks()}


def by_parts(opened: Folder, models: Mapping[str, object] | None) -> bool:
    """Whether parts are timed: the originals are not known, or a task graph has made one network of several."""
    originals = {entry.name for entry in opened.manifest.models}
    return models is None or not set(task_models(opened).values()) <= originals


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
        models = task_models(self.opened)
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
        assert self.opened.instance is not None
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
                NetworkTimes(network=n, device=d, alone=t.alone, together=t.together)
                for (n, d), t in self.timings.items()
            ),
            best_alone=min(
                alone[device] for device in devices_for_all(mapping_problem(self.opened.instance))
            ),
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
