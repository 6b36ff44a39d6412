"""The original models of a manifest, run whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dnnplan.costs.profile.setting import available_cores
from dnnplan.deploy.manifest import Manifest
from dnnplan.deploy.run.cores import Seat
from dnnplan.deploy.run.errors import RunError
from dnnplan.deploy.run.sessions import Array, made_up, open_session, runtime_errors, short
from dnnplan.deploy.sources import whole_model
from dnnplan.instances.errors import InputError


def original_outputs(
    manifest: Manifest, models: Mapping[str, Path], inputs: Mapping[str, Array]
) -> dict[str, Array]:
    """The outputs of all jobs by value, each job run whole on one core.

    Raises
    ------
    InputError
        A model is not given, is not the one that was split, or is not taken by the runtime.
    RunError
        A model fails on these inputs.
    """
    seat = Seat(tuple(available_cores()[:1]))
    found: dict[str, Array] = {}
    for entry in manifest.models:
        if entry.name not in models:
            raise InputError(f"the original of model {entry.name!r} is not given (--models)")
        session = open_session(whole_model(entry, models[entry.name]), seat, f"model {entry.name!r}")
        for job in manifest.jobs:
            if job.model != entry.name:
                continue
            feeds = {own: inputs[value] for own, value in job.inputs.items()}
            for value in session.get_inputs():  # those that nothing reads
                if value.name not in feeds:
                    feeds[value.name] = made_up(value.name, value.type, value.shape)
            try:
                arrays = session.run(list(job.outputs), feeds)
            except runtime_errors() as error:
                raise RunError(f"model {entry.name!r} fails: {short(error)}") from None
            found |= zip(job.outputs.values(), arrays, strict=True)
    return found
