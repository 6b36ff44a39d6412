"""Whether parts together compute what their models compute: the ONNX checker, and outputs on the same inputs."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dnnplan.costs.profile.extras import onnxruntime
from dnnplan.deploy.differences import difference, tolerance_of
from dnnplan.deploy.folder import check_weights, part_path, read_manifest
from dnnplan.deploy.manifest import Manifest, Value
from dnnplan.deploy.run.sessions import MOST_DIMENSIONS, made_up
from dnnplan.deploy.sources import whole_model
from dnnplan.instances.errors import FormatError, InputError, UnsupportedError
from dnnplan.instances.formats.onnx.dependency import require_onnx
from dnnplan.instances.formats.onnx.safety import ReadLimits, load_model

MOST_BYTES = 2**31
"""Bytes of one input that numbers are made up for, counted as 8 an element."""
Arrays = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was compared.

    Parameters
    ----------
    outputs
        Number of outputs.
    bitwise
        Whether all are the same to the last bit.
    worst
        Largest difference, relative to the largest number of the output.
    tolerance
        Up to which it counts as equal.
    """

    outputs: int
    bitwise: bool
    worst: float
    tolerance: float

    @property
    def equal(self) -> bool:
        """Whether all outputs are equal within the tolerance."""
        return self.bitwise or self.worst <= self.tolerance


def check_parts(folder: str | Path, manifest: Manifest) -> None:
    """Have the ONNX checker look at every part, and compare names and types with the manifest.

    Raises
    ------
    FormatError
        A part that is not valid, that reads or makes other values than the manifest says, or whose weights are
        elsewhere.
    """
    onnx = require_onnx()
    checker = require_onnx("checker")
    for segment in manifest.segments:
        path = part_path(folder, segment)
        model = load_model(path, ReadLimits())
        check_weights(model, segment, path)
        stored = {tensor.name for tensor in model.graph.initializer}
        stored |= {tensor.values.name for tensor in model.graph.sparse_initializer}
        found = (
            [value.name for value in model.graph.input if value.name not in stored],
            [value.name for value in model.graph.output],
        )
        wanted = tuple(
            [manifest.value_of[id_].name for id_ in ids] for ids in (segment.inputs, segment.outputs)
        )
        for kind, have, want in zip(("inputs", "outputs"), found, wanted, strict=True):
            if have != want:
                raise FormatError(f"{kind} {have}, expected {want} by the manifest", source=str(path))
        try:
            checker.check_model(str(path) if segment.data else model)
        except onnx.checker.ValidationError as error:
            line = (str(error).strip().splitlines() or ["refused"])[0]
            raise FormatError(f"is not a valid ONNX model: {line}", source=str(path)) from error


def verify(
    folder: str | Path,
    files: Mapping[str, str | Path],
    *,
    seed: int = 0,
    optimise: bool = False,
    dims: Mapping[str, int] | None = None,
) -> Verification:
    """Run the parts one after the other, and the models whole, on the same random inputs, on the CPU provider.

    Parameters
    ----------
    files
        ONNX file of each model.
    optimise
        Let the runtime optimise graphs. It optimises a part otherwise than the whole (fusions do not cross cuts), so
        that sums may be rounded otherwise; without, the same kernels run.
    dims
        Numbers for symbolic dimensions; 1 where none is given.

    Raises
    ------
    FormatError
        Parts that are not valid, or do not belong together.
    InputError
        A model that the manifest has and `files` does not.
    """
    manifest = read_manifest(folder)
    check_parts(folder, manifest)
    given = {value.id: _numbers(value, seed, dims or {}) for value in manifest.inputs}
    outputs = {value.id: value for value in manifest.outputs}
    found = _run_parts(Path(folder), manifest, given, optimise=optimise)
    expected = _run_whole(manifest, files, given, optimise=optimise)
    bitwise, worst = True, 0.0
    for id_ in outputs:
        if id_ not in expected:
            raise FormatError(
                f"output {id_}: no job of the manifest says of which model it is", source=str(folder)
            )
        a, b = found[id_], expected[id_]
        if a.shape != b.shape or a.dtype != b.dtype:
            raise FormatError(
                f"output {id_}: {a.dtype}{a.shape}, expected {b.dtype}{b.shape}", source=str(folder)
            )
        if a.tobytes() != b.tobytes():
            bitwise = False
            worst = max(worst, difference(a, b))
    tolerance = tolerance_of(value.dtype for value in manifest.values)
    return Verification(outputs=len(outputs), bitwise=bitwise, worst=worst, tolerance=tolerance)


def _run_parts(folder: Path, manifest: Manifest, given: Arrays, *, optimise: bool) -> Arrays:
    """All values, after running the parts in the order of the manifest."""
    values = dict(given)
    for segment in manifest.segments:
        session = _session(part_path(folder, segment), optimise=optimise)
        feeds = {manifest.value_of[id_].name: values[id_] for id_ in segment.inputs}
        names = [manifest.value_of[id_].name for id_ in segment.outputs]
        values |= zip(segment.outputs, _run(session, names, feeds, segment.name), strict=True)
    return values


def _run_whole(
    manifest: Manifest, files: Mapping[str, str | Path], given: Arrays, *, optimise: bool
) -> Arrays:
    """The outputs of the models as they were."""
    found: Arrays = {}
    models = {entry.name: entry for entry in manifest.models}
    for name, entry in models.items():
        if name not in files:
            raise InputError(f"model {name}: no file to compare with; name it with --models FILE")
        session = _session(whole_model(entry, files[name]), optimise=optimise)
        for job in manifest.jobs:
            if job.model == name:
                feeds = {own: given[id_] for own, id_ in job.inputs.items()}
                unread = [value for value in session.get_inputs() if value.name not in feeds]
                feeds |= {value.name: made_up(value.name, value.type, value.shape) for value in unread}
                outputs = _run(session, list(job.outputs), feeds, f"model {name}")
                found |= zip(job.outputs.values(), outputs, strict=True)
    return found


def _session(model: Path | bytes, *, optimise: bool) -> Any:
    runtime = onnxruntime()
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    levels = runtime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimise else levels.ORT_DISABLE_ALL
    source = model if isinstance(model, bytes) else str(model)
    try:
        return runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime has a class for each of its codes
        line = (str(error).strip().splitlines() or ["refused"])[0]
        name = "model" if isinstance(model, bytes) else str(model)
        raise FormatError(f"onnxruntime does not take it: {line}", source=name) from error


def _run(session: Any, names: list[str], feeds: Arrays, what: str) -> list[np.ndarray[Any, Any]]:
    if not names:
        return []
    try:
        found: list[np.ndarray[Any, Any]] = session.run(names, feeds)
    except Exception as error:
        line = (str(error).strip().splitlines() or ["failed"])[0]
        raise FormatError(f"{what} cannot be run: {line}") from error
    return found


def _numbers(value: Value, seed: int, dims: Mapping[str, int]) -> np.ndarray[Any, Any]:
    """Numbers for an input that depend on the seed and its name alone."""
    if value.shape is None:
        raise UnsupportedError(
            f"input {value.id}: its shape is not known, so no numbers can be made up for it"
        )
    shape = [dim if isinstance(dim, int) else dims.get(dim, 1) for dim in value.shape]
    if len(shape) > MOST_DIMENSIONS or np.prod([float(dim) for dim in shape if dim]) * 8 > MOST_BYTES:
        raise UnsupportedError(f"input {value.id}: shape {shape} is too large to make up numbers for")
    random = np.random.default_rng([seed, zlib.crc32(value.id.encode())])
    if value.dtype in ("float16", "float32", "float64"):
        return random.standard_normal(shape).astype(value.dtype)
    if value.dtype == "bool":
        return random.integers(0, 2, shape).astype(np.bool_)
    if value.dtype in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
        return random.integers(0, 4, shape).astype(value.dtype)
    raise UnsupportedError(f"input {value.id}: no numbers of type {value.dtype} can be made up")
