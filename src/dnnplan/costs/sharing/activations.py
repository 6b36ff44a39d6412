"""Activations of ONNX networks at branch points, computed with onnxruntime on the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dnnplan.costs.npz import read_npz
from dnnplan.costs.routes import FloatArray
from dnnplan.instances import FormatError, InputError, MissingDependencyError

MOST_BYTES = 2**30
"""Largest file of samples, and most activations of one network, bytes."""


def read_samples(path: str | Path) -> dict[str, FloatArray]:
    """Arrays of samples by the name of the input, from a ``.npz`` file; pickled objects are refused.

    Raises
    ------
    FormatError
        Not such a file, too large, or arrays of different numbers of samples.
    """
    source = Path(path)
    if source.stat().st_size > MOST_BYTES:
        raise FormatError(f"larger than {MOST_BYTES} bytes", source=str(path))
    try:
        arrays = read_npz(source, MOST_BYTES)
    except FormatError as error:
        raise FormatError(str(error), source=str(path)) from None
    if not arrays or any(array.ndim == 0 or array.dtype.kind not in "fiub" for array in arrays.values()):
        raise FormatError("expected arrays of numbers, samples along the first axis", source=str(path))
    if len({len(array) for array in arrays.values()}) > 1:
        raise FormatError("arrays of different numbers of samples", source=str(path))
    return arrays


def tensors_of(path: str | Path) -> list[str]:
    """Names of all tensors that the nodes of a network make, in the order of the file."""
    return [name for node in _load(path).graph.node for name in node.output if name]


def activations_of(
    path: str | Path, samples: Mapping[str, FloatArray], tensors: Sequence[str]
) -> dict[str, FloatArray]:
    """What a network computes for each sample at some tensors.

    Parameters
    ----------
    samples
        (K, ...) by the name of the input; a single array goes to a single input whatever its name.
    tensors
        Names of tensors of the network.

    Returns
    -------
    (K, ...) by tensor.

    Raises
    ------
    InputError
        A tensor that the network does not have, samples that do not fit its inputs, or too many activations.
    MissingDependencyError
        onnx or onnxruntime is not installed (extras ``onnx`` and ``run``).
    """
    onnx, runtime = _packages()
    model = _load(path)
    made = {name for node in model.graph.node for name in node.output}
    for name in tensors:
        if name not in made:
            raise InputError(f"{path}: there is no tensor '{name}'")
    known = {value.name for value in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors if name not in known)
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = runtime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise InputError(f"{path}: onnxruntime cannot run it: {str(error)[:300]}") from None
    feeds = _feeds(session, samples, str(path))
    return _run(session, feeds, tensors, str(path))


def _run(
    session: Any, feeds: dict[str, FloatArray], tensors: Sequence[str], path: str
) -> dict[str, FloatArray]:
    """One sample after the other: not every network takes a batch."""
    count = len(next(iter(feeds.values())))
    found: dict[str, list[Any]] = {name: [] for name in tensors}
    size = 0
    for k in range(count):
        try:
            values = session.run(list(tensors), {name: array[k : k + 1] for name, array in feeds.items()})
        except Exception as error:
            raise InputError(f"{path}: sample {k}: {str(error)[:300]}") from None
        for name, value in zip(tensors, values, strict=True):
            found[name].append(np.asarray(value, dtype=np.float32).ravel())
            size += found[name][-1].nbytes
        if size > MOST_BYTES:
            raise InputError(
                f"{path}: activations of more than {MOST_BYTES} bytes; use fewer samples or branch points"
            )
    return {name: np.array(rows, dtype=float) for name, rows in found.items()}


def _feeds(session: Any, samples: Mapping[str, FloatArray], path: str) -> dict[str, FloatArray]:
    inputs = session.get_inputs()
    if len(inputs) == 1 and len(samples) == 1:
        samples = {inputs[0].name: next(iter(samples.values()))}
    kinds = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}
    feeds = {}
    for one in inputs:
        if one.name not in samples:
            raise InputError(f"{path}: no samples for input '{one.name}'; the file has {', '.join(samples)}")
        if one.type not in kinds:
            raise InputError(f"{path}: input '{one.name}' is of type {one.type}, expected floats or int64")
        feeds[one.name] = np.ascontiguousarray(samples[one.name], dtype=kinds[one.type])
    return feeds


def _load(path: str | Path) -> Any:
    """A network, read with the checks of the reader of instances; weights in other files are refused."""
    from dnnplan.instances.formats.onnx import read_onnx

    onnx, _ = _packages()
    read_onnx(Path(path))
    model = onnx.load(str(path), load_external_data=False)
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer):
        raise InputError(f"{path}: keeps weights in other files, expected one file")
    return model


def _packages() -> tuple[Any, Any]:
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            f'activations need {error.name}: pip install "dnnplan[onnx,run]"'
        ) from None
    return onnx, onnxruntime
