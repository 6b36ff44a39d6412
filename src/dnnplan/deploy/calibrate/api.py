"""Calibrate the costs of a split plan from runs of it, and of the networks that it is made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dnnplan.deploy.calibrate.gather import gather
from dnnplan.deploy.calibrate.report import Calibration
from dnnplan.deploy.run.priority import ahead_of_others
from dnnplan.instances.errors import InputError


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
    real_time: bool = False,
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
    timeout
        Seconds after which a pass of the plan is given up.
    plan
        Whether to plan again with the new costs, for `time_limit` seconds.
    real_time
        Whether to go before other processes while something is measured (Linux, as root).

    Raises
    ------
    InputError
        Devices that share cores, networks that were not read from ONNX files, or numbers that mean nothing.
    RunError
        A part fails, or hangs.
    MissingDependencyError
        onnxruntime is not installed.
    """
    if plan and not 0 <= time_limit < math.inf:
        raise InputError(f"time limit {time_limit:g}: expected a finite number of seconds, at least 0")
    say = progress or (lambda _: None)
    with ahead_of_others(real_time):
        gathered = gather(
            folder,
            repeats=repeats,
            seconds=seconds,
            cores=cores,
            providers=providers,
            models=models,
            timeout=timeout,
            progress=say,
        )
    if not plan:
        return gathered.calibration()
    say(f"planning again, {time_limit:g} s")
    return gathered.planned_again(time_limit=time_limit, workers=workers, seed=seed)
