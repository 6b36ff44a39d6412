"""Published tables of measured operators: `qed-usc` and `neusight` (docs/predictors.md)."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dnnplan.costs.predict.tables import EndToEnd, FloatArray, Operators, need_columns, number, read_rows
from dnnplan.instances.errors import FormatError, InputError
from dnnplan.instances.wording import unknown

MICRO, MILLI = 1e-6, 1e-3
FEATURES = ("Input_shape", "Input_channel", "Output_shape", "Stride", "Kernel", "Filter", "Group", "FLOPS")
"""Keys of the feature column of qed-usc; "-" stands for not applicable."""
MAX_FEATURE = 1000
"""Characters of a feature cell."""
NEUSIGHT = ("op", "device", "latency_ms")
MEASURED = ("main_kernel", "n_kernels")
"""Columns of NeuSight that only a run tells: never a feature."""


def read_qed_usc(path: Path, target: str) -> Operators:
    """Operators of a table of github.com/qed-usc/mobile-ml-benchmark, such as tflite_cnn_ops_gpu.csv.gz.

    Parameters
    ----------
    path
        Columns model, operation, feature (a dict of Python as text), and for each phone ``PHONE|gpu|float``
        (microseconds) and ``PHONE|gpu|kernel``.
    target
        A latency column: ``mi8se|gpu|float``.

    Raises
    ------
    InputError
        The file is damaged or not of this layout, or the target is no column of it.
    """
    rows = read_rows(path)
    need_columns(rows, ("model", "operation", "feature"), path)
    _need_target(target, [name for name in rows[0] if name.endswith("|float")], path)
    kernel = "|".join([*target.split("|")[:2], "kernel"])
    # Rows keep the number that they have in the file, for messages.
    numbered = [(at, row) for at, row in enumerate(rows, start=2) if row[target] != ""]
    if not numbered:
        raise InputError(f"no measured row for {target!r}", source=str(path))
    texts = [row.get(kernel, "") for _, row in numbered]
    latency = [number(row[target], f"row {at}, {target}", path, above=0) for at, row in numbered]
    return _operators(numbered, texts, MICRO * np.array(latency), path)


def read_qed_usc_graphs(path: Path) -> Operators:
    """Every operator of such a table without its latencies (NaN): what networks are made of.

    The kernel texts, which tell what is fused and how nodes are numbered, are those of the first kernel column that has
    one in that row; "" without any.
    """
    rows = read_rows(path)
    need_columns(rows, ("model", "operation", "feature"), path)
    columns = [name for name in rows[0] if name.endswith("|gpu|kernel")]
    texts = [next((row[name] for name in columns if row[name]), "") for row in rows]
    return _operators(list(enumerate(rows, start=2)), texts, np.full(len(rows), np.nan), path)


def _operators(
    numbered: list[tuple[int, dict[str, str]]], kernels: list[str], latency: FloatArray, path: Path
) -> Operators:
    features = [_features(row["feature"], at, path) for at, row in numbered]
    return Operators(
        network=np.array([row["model"] for _, row in numbered]),
        kind=np.array([row["operation"] for _, row in numbered]),
        kernel=np.array(kernels),
        columns={name: np.array([f[name] for f in features]) for name in FEATURES},
        latency=latency,
    )


def read_qed_usc_networks(path: Path, target: str) -> EndToEnd:
    """Networks of a table of the same repository, such as tflite_cnn_e2e.csv.gz: columns model, ``target|mean``."""
    rows = read_rows(path)
    need_columns(rows, ("model",), path)
    column = f"{target}|mean"
    _need_target(target, [name.removesuffix("|mean") for name in rows[0] if name.endswith("|mean")], path)
    numbered = [(at, row) for at, row in enumerate(rows, start=2) if row[column] != ""]
    names = [row["model"] for _, row in numbered]
    if len(set(names)) < len(names):
        raise FormatError("a network is there twice", source=str(path))
    seconds = [number(row[column], f"row {at}, {column}", path, above=0) for at, row in numbered]
    return EndToEnd(np.array(names), MICRO * np.array(seconds))


def qed_usc_targets(path: Path) -> list[str]:
    """The targets of a table of networks, in its order."""
    return [name.removesuffix("|mean") for name in read_rows(path)[0] if name.endswith("|mean")]


def read_neusight(paths: Iterable[Path]) -> Operators:
    """Operators of tables of github.com/sitar-lab/NeuSight: op, device, shape columns, latency_ms.

    `kind` is the operator, `network` the GPU. The columns main_kernel and n_kernels come from the measured run
    and are left out.
    """
    tables = []
    for path in paths:
        rows = read_rows(path)
        need_columns(rows, NEUSIGHT, path)
        shapes = [name for name in rows[0] if name not in (*NEUSIGHT, *MEASURED)]
        wrong = [name for name in shapes if not name.isidentifier() or len(name) > 40]
        if wrong or len(shapes) > 32:
            raise FormatError(
                f"{len(shapes)} shape columns, such as {(wrong or shapes)[0]!r}", source=str(path)
            )
        tables.append((path, rows, shapes))
    if not tables:
        raise InputError("no file of operators")
    names = sorted({name for *_, shapes in tables for name in shapes})
    every = [(path, at, row) for path, rows, _ in tables for at, row in enumerate(rows, start=2)]
    columns = {
        name: np.array([number(r[name], f"row {i}, {name}", p) if name in r else np.nan for p, i, r in every])
        for name in names
    }
    return Operators(
        network=np.array([row["device"] for *_, row in every]),
        kind=np.array([row["op"] for *_, row in every]),
        kernel=np.full(len(every), ""),
        columns=columns,
        latency=MILLI
        * np.array([number(r["latency_ms"], f"row {i}, latency_ms", p, above=0) for p, i, r in every]),
    )


def _need_target(target: str, known: list[str], path: Path) -> None:
    if target not in known:
        raise InputError(unknown("target", target, known), source=str(path))


def _features(text: str, row: int, path: Path) -> dict[str, float]:
    """The numbers of a feature cell, NaN for "-"; read as a literal, so nothing in it runs."""
    where = f"row {row}, feature"
    if len(text) > MAX_FEATURE:
        raise FormatError(f"{where}: longer than {MAX_FEATURE} characters", source=str(path))
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        found = None
    if not isinstance(found, dict) or set(found) != set(FEATURES):
        raise FormatError(
            f"{where}: {text[:60]!r}, expected the keys {', '.join(FEATURES)}", source=str(path)
        )
    values = {}
    for name, value in found.items():
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise FormatError(f"{where}, {name}: {value!r}, expected a number or '-'", source=str(path))
        values[name] = np.nan if value == "-" else number(str(value), f"{where}, {name}", path)
        if values[name] < 0:
            raise FormatError(f"{where}, {name}: {value!r}, expected 0 or more", source=str(path))
    return values
