"""What is measured for a calibration: passes of the plan, and networks on the cores of its devices."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from dnnplan.deploy.calibrate.fit import Fit, SegmentSample, busy_shares, fit, link_factor, wake_times
from dnnplan.deploy.calibrate.gathered import ORIGINALS, PARTS, Gathered, by_parts, task_models
from dnnplan.deploy.calibrate.layers import layer_times
from dnnplan.deploy.calibrate.networks import Network, nodes_of_layers, read_network
from dnnplan.deploy.calibrate.timing import ROUNDS, check_seats, time_networks
from dnnplan.deploy.run.cores import seats
from dnnplan.deploy.run.executor import Executor, Pass
from dnnplan.deploy.run.folder import Folder, open_folder
from dnnplan.deploy.run.guard import require_timeout
from dnnplan.deploy.run.inputs import input_arrays
from dnnplan.deploy.run.machine import core_warnings, load_warning
from dnnplan.deploy.sources import whole_model
from dnnplan.instances.errors import InputError

WARM_UP = 3


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
    if repeats < 2 or not 0 < seconds < math.inf:
        raise InputError(
            f"repeats {repeats}, seconds {seconds}: expected at least 2, and a finite number above 0"
        )
    require_timeout(timeout)
    places = seats(opened.manifest.devices, cores, providers)
    check_seats(places)
    warnings = [*load_warning(), *core_warnings([c for seat in places.values() for c in seat.cores])]
    networks = _networks(opened, models)
    with tempfile.TemporaryDirectory() as name:
        arrays = input_arrays(opened.manifest, batch=opened.batch)
        passes: list[Pass] = []
        sizes: dict[str, int] = {}

        def more_passes() -> None:
            """Passes of the plan in sessions that are opened anew."""
            with Executor(opened.program, opened.files, places, arrays, timeout=timeout) as executor:
                sizes.update({value: array.nbytes for value, array in executor.reference.items()})
                passes.extend(_passes(executor, -(-repeats // ROUNDS)))

        progress(f"{repeats} passes of {len(opened.files)} parts")
        more_passes()
        progress(f"{len(networks)} networks on {len(places)} devices, about {seconds:.0f} s")
        timings = time_networks(networks, places, Path(name), seconds=seconds, between=more_passes)
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
        source=PARTS if by_parts(opened, models) else ORIGINALS,
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
    of_task = task_models(opened)
    nodes = {model: nodes_of_layers(opened.instance, model) for model in of_task.values()}
    # Tables have one time a layer: that of the batch of the first task of its network.
    batch = {model: opened.batch[task] for task, model in reversed(of_task.items())}
    if models is not None and not by_parts(opened, models):
        entries = {entry.name: entry for entry in manifest.models}
        if missing := [model for model in nodes if model not in models]:
            raise InputError(f"the original of model {missing[0]!r} is not given (--models)")
        return [
            read_network(m, whole_model(entries[m], models[m]), m, nodes[m], batch=batch[m]) for m in nodes
        ]
    found = []
    for model in nodes:
        first = next((s.task, s.job) for s in manifest.segments if of_task[s.task] == model)
        own = [s for s in manifest.segments if (s.task, s.job) == first]
        found += [
            read_network(s.name, opened.files[s.name], model, nodes[model], batch=batch[model]) for s in own
        ]
    return found


def _fit(
    opened: Folder,
    passes: Sequence[Pass],
    table: Mapping[str, Mapping[str, Mapping[str, float]]],
    sizes: Mapping[str, int],
) -> Fit:
    samples, models = [], task_models(opened)
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
