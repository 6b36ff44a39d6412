"""What ONNX Runtime writes about a profiled session: one event for each kernel and run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.predict.tables import FloatArray
from dnnplan.instances.errors import FormatError

MAX_BYTES = 2**30
SUFFIX = "_kernel_time"
MICRO = 1e-6
DTYPES = ("float", "double", "float16", "int64", "int32", "int8", "uint8", "bool")


@dataclass(frozen=True)
class KernelTimes:
    """The runs of one kernel.

    Attributes
    ----------
    node, operator
        Name in the optimised graph, and operator without its domain.
    inputs, outputs
        Shapes of what was read, weights included, and of what was written.
    seconds
        (runs,): a kernel inside a loop counts with the sum over the loop.
    """

    node: str
    operator: str
    inputs: list[list[int]]
    outputs: list[list[int]]
    seconds: FloatArray


def read_trace(path: Path, counted: NDArray[np.bool_]) -> list[KernelTimes]:
    """The kernels of a trace in the order of their first event, with the times of the runs that are `counted`.

    Raises
    ------
    FormatError
        Larger than a gibibyte, not JSON, no kernels in it, or a kernel that did not run in every run.
    """
    if path.stat().st_size > MAX_BYTES:
        raise FormatError(f"trace of more than {MAX_BYTES} bytes", source=str(path))
    try:
        events = json.loads(path.read_bytes())
        kernels = [event for event in events if _is_kernel(event)]
        found: dict[str, list[float]] = {}
        last: dict[str, dict[str, Any]] = {}
        for event in kernels:
            found.setdefault(event["name"], []).append(float(event["dur"]))
            last[event["name"]] = event["args"]
        return [_kernel(name, durations, last[name], counted) for name, durations in found.items()]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise FormatError(f"not a trace of ONNX Runtime: {error!r}", source=str(path)) from None


def _is_kernel(event: dict[str, Any]) -> bool:
    return event.get("cat") == "Node" and event["name"].endswith(SUFFIX)


def _kernel(
    name: str, durations: list[float], args: dict[str, Any], counted: NDArray[np.bool_]
) -> KernelTimes:
    node = name.removesuffix(SUFFIX)
    # A kernel in a loop has several events a run; one that some runs skip cannot be told apart run by run.
    runs = len(counted)
    if len(durations) % runs:
        raise ValueError(f"kernel {node!r} has {len(durations)} events in {runs} runs")
    seconds = np.array(durations).reshape(runs, -1).sum(axis=1)[counted] * MICRO
    shapes = [_shapes(args.get(f"{side}_type_shape", [])) for side in ("input", "output")]
    return KernelTimes(node, str(args["op_name"]), shapes[0], shapes[1], seconds)


def _shapes(entries: list[dict[str, list[int]]]) -> list[list[int]]:
    return [[int(size) for size in shape] for entry in entries for shape in entry.values()]
