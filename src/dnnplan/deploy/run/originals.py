"""The original models of a manifest, run whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dnnplan.costs.profile.setting import available_cores
from dnnplan.deploy.manifest import Manifest
from dnnplan.deploy.run.cores import Seat
from dnnplan.deploy.run.errors import RunError
from dnnplan.deploy.run.sessions import Array, open_session, runtime_errors, short
from dnnplan.instances.errors import InputError
from dnnplan.instances.formats.onnx.materialise import seed_weights
from dnnplan.instances.formats.onnx.safety import ReadLimits, load_model


def original_outputs(
    manifest: Manifest, models: Mapping[str, Path], inputs: Mapping[str, Array]
) -> dict[str, Array]:
    """The outputs of all jobs by value, each job run whole on one core.

    Raises
    ------
    InputError
        A model is not given, or is not taken by the runtime.
    RunError
        A model fails on these inputs.
    """
    jobs: dict[tuple[str, int], str] = {(s.task, s.job): s.model for s in manifest.segments}
    seeds = {entry.name: entry.seed for entry in manifest.models}
    found: dict[str, Array] = {}
    for (task, job), model in jobs.items():
        if model not in models:
            raise InputError(f"the original of model {model!r} is not given (--models)")
        seat = Seat(tuple(available_cores()[:1]))
        session = open_session(_source(models[model], seeds.get(model)), seat, f"model {model!r}")
        own = [value for value in manifest.values if (value.task, value.job) == (task, job)]
        feeds = {value.name: inputs[value.id] for value in own if value.source is None}
        outputs = [value for value in own if value.output]
        try:
            arrays = session.run([value.name for value in outputs], feeds)
        except runtime_errors() as error:
            raise RunError(f"model {model!r} fails: {short(error)}") from None
        found |= {value.id: array for value, array in zip(outputs, arrays, strict=True)}
    return found


def _source(path: Path, seed: int | None) -> Path | bytes:
    """The file, or its content with the weights that the parts got."""
    proto = load_model(path, ReadLimits())  # refuses what is no ONNX file, or has data outside its folder
    if seed is None:
        return path
    seed_weights(proto, seed=seed, source=str(path))
    content: bytes = proto.SerializeToString()
    return content
