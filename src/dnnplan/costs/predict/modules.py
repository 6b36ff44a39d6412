"""Operators grouped into modules of networks, and a design of any numeric columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from dnnplan.costs.predict.design import Design
from dnnplan.costs.predict.features import design_of
from dnnplan.costs.predict.tables import FloatArray, Operators, TextArray
from dnnplan.instances.errors import InputError

Modules = dict[str, tuple[Design, FloatArray]]
"""Module -> its operators and their (n,) measured seconds."""


def module_designs(ops: Operators, build: Callable[[Operators], Design] | None = None) -> Modules:
    """Operators by `kind`, each with its own design.

    Parameters
    ----------
    build
        Makes the design of the operators of one module; None: `column_design`.
    """
    make = column_design if build is None else build
    found = {str(name): ops.take(ops.kind == name) for name in np.unique(ops.kind)}
    return {name: (make(rows), rows.latency) for name, rows in found.items()}


def split_design(design: Design, module: TextArray, seconds: FloatArray) -> Modules:
    """Rows of one design by module, where all modules share their columns; `module` and `seconds` (n,)."""
    if not len(design) == len(module) == len(seconds):
        raise InputError(
            f"{len(design)} operators, {len(module)} modules, {len(seconds)} latencies, expected equal numbers"
        )
    rows = {str(name): module == name for name in np.unique(module)}
    return {name: (design.take(at), seconds[at]) for name, at in rows.items()}


def column_design(ops: Operators, work: Mapping[str, FloatArray] | None = None) -> Design:
    """A design of the numeric columns of a module, whatever they are: batch, threads, utilisation, shapes.

    Features are each column x and sign(x) log2(1 + |x|), and the same logarithm of each amount of work. Terms of
    work are 1, and the given amounts, or else the columns themselves where they are above 0. The group of an
    operator is its `network` column, which tables of single operators use for the device. All of this is ours.

    Parameters
    ----------
    work
        Name -> (n,) amounts, 0 or more, that latency could be a sum of, such as operations and bytes.

    Raises
    ------
    InputError
        A column that is not a number in some rows only or is infinite, no column at all, or negative work.
    """
    columns = {name: values for name, values in ops.columns.items() if not np.isnan(values).all()}
    odd = [name for name, values in columns.items() if not np.isfinite(values).all()]
    if odd or not columns:
        raise InputError(f"column {odd[0]!r} is not a finite number in every row" if odd else "no column")
    amounts = (
        {name: np.maximum(values, 0.0) for name, values in columns.items()} if work is None else dict(work)
    )
    wrong = [name for name, values in amounts.items() if not ((values >= 0) & np.isfinite(values)).all()]
    if wrong:
        raise InputError(f"work {wrong[0]!r} is negative or not finite in some row")
    features = dict(columns)
    features |= {f"log_{name}": np.sign(x) * np.log2(1 + np.abs(x)) for name, x in columns.items()}
    features |= {f"work_{name}": np.log2(1 + values) for name, values in (work or {}).items()}
    return design_of(features, {"one": np.ones(len(ops)), **amounts}, ops.network)
