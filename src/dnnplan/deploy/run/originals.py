"""The original models of a manifest, run whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dnnplan.costs.profile.extras import onnxruntime
from dnnplan.costs.profile.setting import available_cores
from dnnplan.deploy.manifest import JobEntry, Manifest
from dnnplan.deploy.run.cores import Seat
from dnnplan.deploy.run.errors import RunError
from dnnplan.deploy.run.guard import Guarded, terminate
from dnnplan.deploy.run.sessions import Array, made_up, open_session, runtime_errors, short
from dnnplan.deploy.sources import whole_model
from dnnplan.instances.errors import InputError


def original_outputs(
    manifest: Manifest,
    models: Mapping[str, Path],
    inputs: Mapping[str, Array],
    *,
    batch: Mapping[str, int] | None = None,
    timeout: float = 60.0,
) -> dict[str, Array]:
    """The outputs of all jobs by value, each job run whole on one core.

    Parameters
    ----------
    batch
        Samples of a job by task, for inputs that no part reads; 1 where not given.
    timeout
        Seconds for opening a model and running its jobs.

    Raises
    ------
    InputError
        A model is not given, is not the one that was split, or is not taken by the runtime.
    RunError
        A model fails on these inputs, or takes longer than `timeout`.
    """
    found: dict[str, Array] = {}
    for entry in manifest.models:
        if entry.name not in models:
            raise InputError(f"the original of model {entry.name!r} is not given (--models)")
        jobs = [
            (job, _samples(manifest, job, batch or {})) for job in manifest.jobs if job.model == entry.name
        ]
        found |= _run(whole_model(entry, models[entry.name]), f"model {entry.name!r}", jobs, inputs, timeout)
    return found


def _samples(manifest: Manifest, job: JobEntry, batch: Mapping[str, int]) -> int:
    """Samples of a job: those of the task that its values are of, which a task graph has made of several."""
    tasks = (manifest.value_of[value].task for value in (*job.outputs.values(), *job.inputs.values()))
    return batch.get(next(tasks, job.task), 1)


def _run(
    source: Path | bytes,
    label: str,
    jobs: Sequence[tuple[JobEntry, int]],
    inputs: Mapping[str, Array],
    timeout: float,
) -> dict[str, Array]:
    """The outputs of jobs of one model, in a thread that can be given up."""
    term = onnxruntime().RunOptions()
    work = Guarded(lambda: _run_jobs(source, label, jobs, inputs, term), lambda: terminate([term]))
    return work.wait(timeout, lambda: label)


def _run_jobs(
    source: Path | bytes,
    label: str,
    jobs: Sequence[tuple[JobEntry, int]],
    inputs: Mapping[str, Array],
    term: Any,
) -> dict[str, Array]:
    """The outputs of jobs of one model, each with its number of samples."""
    session = open_session(source, Seat(tuple(available_cores()[:1])), label)
    found: dict[str, Array] = {}
    for job, samples in jobs:
        if not job.outputs:
            continue  # asked for nothing, the runtime would compute everything
        feeds = {own: inputs[value] for own, value in job.inputs.items()}
        for value in session.get_inputs():  # those that nothing reads
            if value.name not in feeds:
                feeds[value.name] = made_up(value.name, value.type, value.shape, samples)
        try:
            arrays = session.run(list(job.outputs), feeds, term)
        except runtime_errors() as error:
            raise RunError(f"{label} fails: {short(error)}") from None
        found |= zip(job.outputs.values(), arrays, strict=True)
    return found
