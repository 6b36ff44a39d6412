"""One measurement, in a process of its own: pinned, warmed up, by kernel and end to end."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dnnplan.costs.predict.tables import FloatArray
from dnnplan.costs.profile.extras import onnxruntime
from dnnplan.costs.profile.graphs import Site, read_sites, site_of
from dnnplan.costs.profile.load import background_load
from dnnplan.costs.profile.schema import ProfileRow
from dnnplan.costs.profile.setting import Effort, Setting, pin
from dnnplan.costs.profile.trace import KernelTimes, read_trace
from dnnplan.costs.runtime.processor import channel_block, device_name
from dnnplan.instances.errors import InputError

LOW, HIGH = 0.1, 0.9
TURNS = 3
"""Turns that sessions take."""
SETTLE = 1
"""Runs at the start of a turn that do not count: caches hold another network's numbers."""
OPTIMISED = "optimised.onnx"
MOST_EVENTS = 200_000
"""Events of one trace: the profiler keeps a million, and each takes about a kilobyte of the file."""
INTEGERS = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
}
FLOATS = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}


@dataclass(frozen=True)
class Job:
    """What to measure: the bytes of an ONNX network whose nodes have names, how, and pinned to which cores."""

    key: str
    network: str
    data: bytes
    setting: Setting
    effort: Effort
    cores: tuple[int, ...]


def measure(jobs: Sequence[Job]) -> list[list[ProfileRow]]:
    """Rows of several networks in one setting: of each end to end first, then its kernels.

    Two sessions of a network take turns, one with a profile and one without, since writing events slows networks of
    small kernels: kernels come from the one, the time end to end from the other, under the same conditions. The
    networks take turns too: what slows the machine for a second does not fall on one of them alone.

    Raises
    ------
    InputError
        The runtime does not take one of the networks.
    """
    setting, cores = jobs[0].setting, list(jobs[0].cores)
    with tempfile.TemporaryDirectory() as name, background_load(setting.utilisation, cores):
        trials = [_Trial(job, Path(name) / str(at)) for at, job in enumerate(jobs)]
        for turn in range(TURNS):
            for trial in trials:
                trial.turn(turn)
        return [trial.rows() for trial in trials]


class _Trial:
    """The two sessions of one network, and the times of their runs."""

    def __init__(self, job: Job, folder: Path) -> None:
        folder.mkdir()
        self.job, self.folder = job, folder
        pin(list(job.cores))
        self.plain, self.traced = (_session(job, folder, profile=profile) for profile in (False, True))
        pin(list(job.cores[:1]))
        self.feeds = {value.name: _feed(value, job.setting.batch) for value in self.plain.get_inputs()}
        self.sites = read_sites(folder / OPTIMISED)
        one = self._run(self.plain, job.effort.warm_up + 1)[-1]
        runs = min(job.effort.runs(2 * one), MOST_EVENTS // len(self.sites) + 1)
        self.blocks = [len(block) for block in np.array_split(np.arange(runs), TURNS)]
        self.whole = np.empty(0)
        self.counts: list[bool] = []

    def turn(self, number: int) -> None:
        """A block of runs of each session, the first of which only warms it up."""
        length = self.blocks[number] + SETTLE
        self._run(self.traced, length)
        self.counts += [at >= SETTLE for at in range(length)]
        self.whole = np.append(self.whole, self._run(self.plain, length)[SETTLE:])

    def rows(self) -> list[ProfileRow]:
        """What was measured."""
        trace = Path(self.traced.end_profiling())
        kernels = read_trace(trace, np.array(self.counts))
        return list(_rows(self.job, self.whole, kernels, self.sites))

    def _run(self, session: Any, runs: int) -> FloatArray:
        """(runs,) seconds of one run after the other."""
        times = np.empty(runs)
        try:
            for at in range(runs):
                start = time.perf_counter()
                session.run(None, self.feeds)
                times[at] = time.perf_counter() - start
        except _runtime_errors() as error:
            message = f"cannot be run in {self.job.setting}: {_short(error)}"
            raise InputError(message, source=self.job.network) from None
        return times


def optimise(data: bytes, target: Path, name: str) -> None:
    """Write the graph of a network as the runtime optimises it on this machine, without running it."""
    options = _options(1, target)
    # Weights would be laid out for kernels that never run.
    options.add_session_config_entry("session.disable_prepacking", "1")
    _open(data, options, name)


def _options(threads: int, optimised: Path | None) -> Any:
    options = onnxruntime().SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    if optimised is not None:
        options.optimized_model_filepath = str(optimised)
    return options


def _session(job: Job, folder: Path, *, profile: bool) -> Any:
    options = _options(job.setting.threads, folder / OPTIMISED if profile else None)
    if profile:
        options.enable_profiling = True
        options.profile_file_prefix = str(folder / "trace")
    if job.setting.threads > 1:
        # Of the threads beside the calling one; cores count from 1 here.
        cores = ";".join(str(core + 1) for core in job.cores[1:])
        options.add_session_config_entry("session.intra_op_thread_affinities", cores)
        # Threads wait for work by spinning, and go on after a run for a while, on the core of the next session.
        options.add_session_config_entry("session.force_spinning_stop", "1")
    return _open(job.data, options, job.network)


def _open(data: bytes, options: Any, name: str) -> Any:
    try:
        return onnxruntime().InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except _runtime_errors() as error:
        raise InputError(f"not accepted by onnxruntime: {_short(error)}", source=name) from None


def _runtime_errors() -> tuple[type[BaseException], ...]:
    state = onnxruntime().capi.onnxruntime_pybind11_state
    names = (
        "Fail",
        "InvalidArgument",
        "InvalidGraph",
        "NotImplemented",
        "RuntimeException",
        "InvalidProtobuf",
    )
    return (*(getattr(state, name) for name in names if hasattr(state, name)), ValueError)


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


def _feed(value: Any, batch: int) -> Any:
    """Numbers for an input: normal ones, and zeros for whole numbers, which are valid indices."""
    shape = [size if isinstance(size, int) else batch for size in value.shape]
    if value.type in FLOATS:
        return np.random.default_rng(0).standard_normal(shape).astype(FLOATS[value.type])
    if value.type in INTEGERS:
        return np.zeros(shape, INTEGERS[value.type])
    if value.type == "tensor(bool)":
        return np.ones(shape, bool)
    raise InputError(f"input {value.name!r} has type {value.type}: cannot be made up")


def _rows(
    job: Job, whole: FloatArray, kernels: list[KernelTimes], sites: dict[str, Site]
) -> Iterator[ProfileRow]:
    common: dict[str, Any] = {
        "key": job.key,
        "network": job.network,
        "threads": job.setting.threads,
        "batch": job.setting.batch,
        "utilisation": job.setting.utilisation,
        "kernels": len(kernels),
        "device": device_name(),
        "block": channel_block(),
        "runtime": runtime_name(),
    }
    yield ProfileRow(scope="network", **_spread(whole), **common)
    for kernel in kernels:
        site = site_of(sites, kernel.node, kernel.operator)
        yield ProfileRow(
            scope="operator",
            node=kernel.node,
            operator=site.operator,
            inputs=_json(kernel.inputs if site.inputs is None else site.inputs),
            outputs=_json(kernel.outputs if site.outputs is None else site.outputs),
            attributes=_json(site.attributes),
            **_spread(kernel.seconds),
            **common,
        )


def _spread(seconds: FloatArray) -> dict[str, Any]:
    low, middle, high = np.quantile(seconds, [LOW, 0.5, HIGH]).tolist()
    return {"runs": len(seconds), "seconds": middle, "low": low, "high": high}


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False, default=str)


def runtime_name() -> str:
    """Name and version of the runtime."""
    return f"onnxruntime {onnxruntime().__version__}"
