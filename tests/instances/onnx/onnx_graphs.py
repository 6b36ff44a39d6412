"""Small ONNX models for the tests of the reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Shapes = Mapping[str, Sequence[int | str | None]]

FLOAT = TensorProto.FLOAT


def make_model(
    nodes: Sequence[Any],
    inputs: Shapes,
    outputs: Shapes,
    constants: Mapping[str, Any] | None = None,
    *,
    opset: int = 18,
    dtype: int = FLOAT,
    functions: Sequence[Any] = (),
    domains: Sequence[str] = (),
) -> Any:
    """A model; constants are arrays, or shapes of float32 zeros."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(name, dtype, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, dtype, shape) for name, shape in outputs.items()],
        initializer=[tensor(name, value) for name, value in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=opsets, functions=list(functions), ir_version=9)


def tensor(name: str, value: Any) -> Any:
    """A TensorProto of an array, or of zeros of a shape given as a tuple."""
    array = np.zeros(value, np.float32) if isinstance(value, tuple) else np.asarray(value)
    return numpy_helper.from_array(array, name)


def save(model: Any, folder: Path, name: str = "model.onnx") -> Path:
    """Write `model` into `folder` without checking it."""
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path


def node(op: str, inputs: str, outputs: str, name: str = "", **attributes: Any) -> Any:
    """A node; names are separated by spaces, ``-`` stands for an input left out."""
    names = ["" if item == "-" else item for item in inputs.split()]
    return helper.make_node(op, names, outputs.split(), name=name, **attributes)


__all__ = ["FLOAT", "helper", "make_model", "node", "onnx", "save", "tensor"]
