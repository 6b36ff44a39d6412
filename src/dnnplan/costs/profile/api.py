"""Measuring networks and sampled operators into a table, one process for each setting of threads and load."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from dnnplan.costs.profile.extras import onnxruntime
from dnnplan.costs.profile.graphs import read_network, ready
from dnnplan.costs.profile.load import end_with
from dnnplan.costs.profile.sampling import Ranges, sample_network
from dnnplan.costs.profile.schema import ProfileRow
from dnnplan.costs.profile.session import Job, measure, runtime_name
from dnnplan.costs.profile.setting import Effort, Setting
from dnnplan.costs.profile.store import ProfileTable
from dnnplan.costs.runtime.processor import device_name
from dnnplan.instances.errors import FormatError, InputError

Progress = Callable[[str], None]
SAMPLE_EFFORT = Effort(warm_up=1, least=6, most=18, seconds=0.4)
GROUP = 6
"""Networks that take turns."""
GROUP_BYTES = 512 * 2**20


@dataclass(frozen=True)
class ProfileSummary:
    """How many measurements were made now, were there already, and could not be made (with the reasons)."""

    measured: int
    kept: int
    failed: tuple[str, ...] = ()


def profile_networks(
    paths: Iterable[Path],
    table: ProfileTable,
    settings: Sequence[Setting],
    *,
    effort: Effort | None = None,
    progress: Progress = lambda text: None,
) -> ProfileSummary:
    """Measure networks, whole and by kernel, in every setting that the table does not have yet.

    A network that cannot be run in a setting (a batch that its graph does not take) is reported, the others go on.

    Raises
    ------
    FormatError
        A file is not an ONNX network.
    MissingDependencyError
        The extra `run` is not installed.
    """
    chosen = effort or Effort()
    works = [(path, setting) for setting in settings for path in paths]
    jobs = (_network_job(path, setting, chosen) for path, setting in works)
    return _run(jobs, table, len(works), progress)


def _network_job(path: Path, setting: Setting, effort: Effort) -> Callable[[], Job]:
    def job() -> Job:
        data = read_network(path, setting.batch)
        return _job(path.stem, data, setting, effort)

    return job


def profile_samples(
    table: ProfileTable,
    settings: Sequence[Setting],
    *,
    seconds: float,
    seed: int = 0,
    ranges: Ranges | None = None,
    effort: Effort = SAMPLE_EFFORT,
    progress: Progress = lambda text: None,
) -> ProfileSummary:
    """Measure operators drawn at random over the configurations of common networks, for some time.

    Operators are measured in small networks of several cells each, so that the caches hold what they hold in a real
    network: a kernel that runs alone again and again finds its weights where no network does. Groups of samples take
    turns; sample number i of a seed is the same network on every machine. The batch of a setting is that of the sample.

    Parameters
    ----------
    seconds
        Wall-clock time for all settings together. A table that has some of the samples already gets further ones.
    ranges
        Which cells and sizes are drawn; None: all of them.
    """
    limit = time.monotonic() + seconds
    chosen = ranges or Ranges()

    def jobs() -> Iterator[Callable[[], Job]]:
        number = 0
        while time.monotonic() < limit:
            for setting in settings:
                for at in range(number, number + GROUP):
                    yield _sample_job(seed, at, chosen, setting, effort)
            number += GROUP

    return _run(jobs(), table, None, progress)


def _sample_job(
    seed: int, number: int, ranges: Ranges, setting: Setting, effort: Effort
) -> Callable[[], Job]:
    def job() -> Job:
        data = ready(sample_network(seed, number, ranges, batch=setting.batch))
        return _job(f"sample-{seed}-{number}", data, setting, effort)

    return job


def _job(name: str, data: bytes, setting: Setting, effort: Effort) -> Job:
    """A job whose key tells networks, settings, machines and versions of the runtime apart."""
    digest = hashlib.sha256(data).hexdigest()[:16]
    key = (
        f"{digest}|{setting.threads}|{setting.batch}|{setting.utilisation:g}|{device_name()}|{runtime_name()}"
    )
    return Job(key, name, data, setting, effort, tuple(setting.cores))


def _run(
    jobs: Iterable[Callable[[], Job]], table: ProfileTable, total: int | None, progress: Progress
) -> ProfileSummary:
    onnxruntime()
    state = _State(table, total, progress)
    with _Workers() as workers:
        group: list[Job] = []
        for make in jobs:
            job = state.wanted(make)
            if job is None:
                continue
            if group and not _fits(group, job):
                state.measure(workers, group)
                group = []
            group.append(job)
        if group:
            state.measure(workers, group)
    table.compact()
    return ProfileSummary(state.measured, state.kept, tuple(state.failed))


def _fits(group: Sequence[Job], job: Job) -> bool:
    """Whether a network can take turns with others: in the same setting, and within memory."""
    size = sum(len(other.data) for other in group) + len(job.data)
    return job.setting == group[0].setting and len(group) < GROUP and size <= GROUP_BYTES


class _State:
    """What has been measured, what was there, and what failed."""

    def __init__(self, table: ProfileTable, total: int | None, progress: Progress) -> None:
        self.table, self.total, self.progress = table, total, progress
        self.known = table.keys()
        self.measured = self.kept = 0
        self.failed: list[str] = []

    def wanted(self, make: Callable[[], Job]) -> Job | None:
        """A job that the table does not have yet."""
        try:
            job = make()
        except InputError as error:
            if isinstance(error, FormatError):
                raise
            self._fail(error)
            return None
        if job.key in self.known:
            self.kept += 1
            return None
        self.known.add(job.key)
        return job

    def measure(self, workers: _Workers, group: list[Job]) -> None:
        """Measure a group together; if it fails, one by one, so that only what is wrong is missing."""
        try:
            found = workers.measure(group)
        except InputError as error:
            if len(group) == 1:
                self._fail(error)
            else:
                for job in group:
                    self.measure(workers, [job])
            return
        for job, rows in zip(group, found, strict=True):
            self.table.append(rows)
            self.measured += 1
            self.progress(f"{self._number()}: {job.network}, {_spelled(job.setting)}: {_result(rows)}")

    def _number(self) -> str:
        done = self.measured + self.kept + len(self.failed)
        return f"{done}/{self.total}" if self.total else str(done)

    def _fail(self, error: InputError) -> None:
        self.failed.append(str(error))
        self.progress(f"{self._number()}: {error}")


def _spelled(setting: Setting) -> str:
    threads = "1 thread" if setting.threads == 1 else f"{setting.threads} threads"
    return f"{threads}, batch {setting.batch}, utilisation {setting.utilisation:g}"


def _result(rows: Sequence[ProfileRow]) -> str:
    return f"{1e3 * rows[0].seconds:.3f} ms, {rows[0].kernels} kernels"


class _Workers:
    """One process that measures, replaced when it dies; what kills it is an error of what was measured."""

    def __init__(self) -> None:
        self.pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *_: object) -> None:
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)

    def measure(self, jobs: Sequence[Job]) -> list[list[ProfileRow]]:
        """Rows of each job."""
        if self.pool is None:
            context = multiprocessing.get_context("spawn")
            self.pool = ProcessPoolExecutor(1, context, initializer=end_with, initargs=(os.getpid(),))
        try:
            return self.pool.submit(measure, jobs).result()
        except BrokenProcessPool:
            self.pool = None
            names = ", ".join(job.network for job in jobs)
            raise InputError("the process that measured died; too little memory?", source=names) from None
