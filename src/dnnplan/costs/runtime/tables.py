"""Profile tables as operators of modules, and networks end to end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dnnplan.costs.predict.tables import EndToEnd, FloatArray, Operators, TextArray
from dnnplan.costs.runtime.kernels import MODULE_OF, MODULES, Columns, kernel_columns
from dnnplan.costs.runtime.processor import BLOCK
from dnnplan.instances.errors import FormatError, InputError

INPUTS = ("threads", "batch", "utilisation")
"""Columns of the setting, which may be inputs of a model."""
FRAME = "frame:"
"""How names of nodes begin that stand around sampled cells, at graph inputs and outputs: part of networks, not samples.

They read what the caller gives and write what it gets, which is slower than between the kernels of a network.
"""


@dataclass(frozen=True)
class Kernel:
    """One kernel of a network: what `kernel_columns` needs of it."""

    operator: str
    inputs: list[list[int]]
    outputs: list[list[int]]
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Profiled:
    """Measured kernels by module, and the networks that they are from.

    Attributes
    ----------
    modules
        Module -> kernels; `Operators.network` is the measurement that a kernel belongs to.
    networks
        Measurements end to end; several settings of one network are several rows.
    settings
        (m, 3) `INPUTS` of the networks.
    frame
        Measurement and seconds of each kernel around sampled cells, and of unknown operators: parts of networks only.
    unknown
        Operators that belong to no module, and how many rows each had: they have no model here.
    """

    modules: dict[str, Operators]
    networks: EndToEnd
    settings: FloatArray
    frame: tuple[TextArray, FloatArray]
    unknown: dict[str, int]


def profiled(columns: Mapping[str, list[Any]], statistic: str = "seconds", **only: float) -> Profiled:
    """Rows of a profile table (`ProfileTable.read`) as operators.

    Parameters
    ----------
    columns
        The columns of the table.
    statistic
        The column of seconds: `seconds`, the median, or `low`, which machines do when nothing disturbs them.
    only
        Values that columns must have, such as `threads=1`; other rows are left out.

    Raises
    ------
    InputError
        No row is left, or rows are of several processors or versions of the runtime.
    FormatError
        A cell of shapes or attributes is not what a profile writes.
    """
    keep = [
        at
        for at in range(len(columns["key"]))
        if all(columns[name][at] == value for name, value in only.items())
    ]
    rows = [at for at in keep if columns["scope"][at] == "operator"]
    whole = [at for at in keep if columns["scope"][at] == "network"]
    if not rows:
        raise InputError(f"no measured operator with {only or 'any setting'} in the table")
    _one_machine(columns, keep)
    by_module: dict[str, list[int]] = {}
    frame: list[int] = []
    unknown: Counter[str] = Counter()
    for at in rows:
        operator = columns["operator"][at]
        if columns["node"][at].startswith(FRAME):
            frame.append(at)
        elif operator in MODULE_OF:
            by_module.setdefault(MODULE_OF[operator], []).append(at)
        else:
            frame.append(at)
            unknown[operator] += 1
    return Profiled(
        {
            module: _operators(columns, by_module[module], statistic)
            for module in MODULES
            if module in by_module
        },
        EndToEnd(
            np.array([columns["key"][at] for at in whole], dtype=str), _floats(columns[statistic], whole)
        ),
        np.column_stack([_floats(columns[name], whole) for name in INPUTS]),
        (_texts(columns["key"], frame), _floats(columns[statistic], frame)),
        dict(unknown),
    )


def _one_machine(columns: Mapping[str, list[Any]], rows: list[int]) -> None:
    """What is learned together was measured on one processor, by one version of the runtime."""
    for name in ("device", "runtime", "block"):
        found = sorted({str(columns[name][at]) for at in rows})
        if len(found) > 1:
            raise InputError(f"measurements of {' and '.join(found[:3])}: expected those of one {name}")


def _floats(values: list[Any], rows: list[int]) -> FloatArray:
    return np.array([values[at] for at in rows], dtype=float)


def _operators(columns: Mapping[str, list[Any]], rows: list[int], statistic: str) -> Operators:
    found = columns_of([_kernel(columns, at) for at in rows])
    found["block"] = _floats(columns["block"], rows)
    # The batch of the setting: kernels have their own from their shapes.
    found |= {name: _floats(columns[name], rows) for name in INPUTS if name != "batch"}
    seconds = _floats(columns[statistic], rows)
    if not (np.isfinite(seconds) & (seconds >= 0)).all():
        raise FormatError("seconds that are negative or not finite")
    return Operators(
        _texts(columns["key"], rows),
        _texts(columns["operator"], rows),
        np.full(len(rows), ""),
        found,
        # Durations are whole microseconds: a kernel of less than one is reported as 0.
        np.maximum(seconds, 0.5e-6),
    )


def columns_of(kernels: Iterable[Kernel], block: int = BLOCK) -> dict[str, FloatArray]:
    """The columns of kernels of one module on a processor with such blocks, (n,) each."""
    found: list[Columns] = [
        kernel_columns(k.operator, k.inputs, k.outputs, k.attributes, block) for k in kernels
    ]
    return {name: np.array([row[name] for row in found]) for name in found[0]}


def _texts(values: list[Any], rows: list[int]) -> TextArray:
    return np.array([values[at] for at in rows], dtype=str)


def _kernel(columns: Mapping[str, list[Any]], at: int) -> Kernel:
    try:
        shapes = [json.loads(columns[name][at]) for name in ("inputs", "outputs")]
        attributes = json.loads(columns["attributes"][at])
    except (ValueError, RecursionError):
        raise FormatError(f"row {at}: inputs, outputs or attributes are not JSON") from None
    right = all(
        isinstance(side, list)
        and all(
            isinstance(shape, list) and all(type(size) is int and size >= 0 for size in shape)
            for shape in side
        )
        for side in shapes
    )
    if not right or not isinstance(attributes, dict):
        raise FormatError(f"row {at}: expected lists of sizes, and an object of attributes")
    return Kernel(columns["operator"][at], shapes[0], shapes[1], attributes)
