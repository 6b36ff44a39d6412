"""Cost tables from CSV files and data frames: what users of MAESTRO, Timeloop or ZigZag have."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from dnnplan.instances.errors import InputError, InstanceError
from dnnplan.instances.files import read_bytes
from dnnplan.instances.instance import Instance
from dnnplan.instances.json_text import decode_utf8
from dnnplan.instances.validation.names import Names, check_known
from dnnplan.instances.wording import Report, show, suggestion

COLUMNS = ("model", "layer", "device", "latency", "energy")
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
JOULES = {"J": 1.0, "mJ": 1e-3, "uJ": 1e-6, "nJ": 1e-9, "pJ": 1e-12}

_EMPTY = ("nan", "<NA>")
"""How empty cells of a data frame print."""

Table = dict[str, dict[str, dict[str, float]]]


def with_cost_table(
    instance: Instance,
    source: str | Path | Iterable[Mapping[str, Any]],
    *,
    columns: Mapping[str, str] | None = None,
    latency_unit: str = "s",
    energy_unit: str = "J",
    frequency: float | None = None,
    separator: str = ",",
) -> Instance:
    """Merge measured or modelled costs of layers on devices into an instance.

    Parameters
    ----------
    source
        A CSV file with a header line, a pandas data frame, or rows as mappings. A row names a `layer` and a
        `device` (and a `model` where the instance has several) and gives `latency`, `energy` or both; an
        empty cell gives nothing. A row for a device stands for all its copies.
    columns
        What the table calls these columns where that differs: ``{"latency": "runtime [cycles]"}``.
    latency_unit
        ``s``, ``ms``, ``us``, ``ns``, or ``cycles``.
    energy_unit
        ``J``, ``mJ``, ``uJ``, ``nJ`` or ``pJ``.
    frequency
        Clock in Hz that cycles are divided by.
    separator
        Between the cells of a CSV file.

    Returns
    -------
    Instance
        A copy whose `costs` hold the rows; they replace entries for the same model, layer and device. A layer
        with a row in `costs.latency` can run on the devices of that row only.

    Raises
    ------
    InstanceError
        Unknown models, layers, devices or columns, values that are no numbers >= 0, or two rows for one cell:
        all of them at once.

    Examples
    --------
    >>> from dnnplan.instances import Device, Layer, Model, Platform
    >>> instance = Instance(
    ...     models=(Model(name="net", layers=(Layer(name="conv"),)),),
    ...     platform=Platform(devices=(Device(name="npu"),)),
    ... )
    >>> rows = [{"layer": "conv", "device": "npu", "latency": "1500", "energy": 2.5}]
    >>> with_cost_table(instance, rows, latency_unit="cycles", frequency=1e9).costs.latency
    {'net': {'conv': {'npu': 1.5e-06}}}
    """
    scales = {
        "latency": _latency_scale(latency_unit, frequency),
        "energy": _scale(energy_unit, JOULES, "energy_unit"),
    }
    label, rows = _rows(source, separator)
    merge = _Merge(instance, _column_names(columns), scales)
    for where, row in rows:
        merge.add(where, row)
    if not merge.rows:
        merge.report.add("", "the table has no rows, expected a header line and at least one row")
    if merge.report.problems:
        raise InstanceError(problems=merge.report.problems, source=label)
    costs = replace(instance.costs, latency=merge.tables["latency"], energy=merge.tables["energy"])
    return replace(instance, costs=costs)


def _latency_scale(unit: str, frequency: float | None) -> float:
    if unit != "cycles":
        return _scale(unit, SECONDS, "latency_unit")
    if frequency is None or not 0 < frequency < math.inf:
        raise InputError(f"frequency: {frequency}, expected the clock in Hz that cycles are divided by")
    return 1.0 / frequency


def _scale(unit: str, units: Mapping[str, float], what: str) -> float:
    if unit not in units:
        known = [*units, "cycles"] if units is SECONDS else list(units)
        raise InputError(f"{what}: {show(unit)}, expected one of {', '.join(known)}")
    return units[unit]


def _column_names(columns: Mapping[str, str] | None) -> dict[str, str]:
    """Name in the table of each column that we know."""
    for name in columns or {}:
        if name not in COLUMNS:
            hint = suggestion(name, COLUMNS) or f", expected one of {', '.join(COLUMNS)}"
            raise InputError(f"columns: {show(name)} is not a column of cost tables{hint}")
    return {name: (columns or {}).get(name, name) for name in COLUMNS}


def _rows(source: Any, separator: str) -> tuple[str | None, Iterable[tuple[str, Mapping[str, Any]]]]:
    """Name of the source, and its rows with the place that their reader sees them at."""
    if isinstance(source, str | Path):
        data, _, label = read_bytes(source)
        text = io.StringIO(decode_utf8(data, label), newline="")
        reader = csv.DictReader(text, delimiter=separator, skipinitialspace=True, restkey="", strict=True)
        return label, _csv_rows(reader, label)
    to_dict: Callable[[str], list[dict[str, Any]]] | None = getattr(source, "to_dict", None)
    records = to_dict("records") if to_dict is not None else source
    return None, ((f"row {number}", row) for number, row in enumerate(records, start=1))


def _csv_rows(reader: csv.DictReader[str], label: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
    try:
        for row in reader:
            yield f"line {reader.line_num}", row
    except csv.Error as error:
        raise InputError(f"line {reader.line_num} is not CSV: {error}", source=label) from None


class _Merge:
    """Collects rows into tables, and everything that is wrong with them."""

    def __init__(self, instance: Instance, columns: dict[str, str], scales: dict[str, float]) -> None:
        self.names = Names(instance)
        self.columns = columns
        self.scales = scales
        self.report = Report()
        self.tables: dict[str, Table] = {
            name: {
                model: {layer: dict(row) for layer, row in rows.items()}
                for model, rows in getattr(instance.costs, name).items()
            }
            for name in scales
        }
        self.seen: dict[tuple[str, str, str], str] = {}
        self.has_columns = False
        self.rows = 0

    def add(self, path: str, row: Mapping[str, Any]) -> None:
        """Enter one row."""
        self.rows += 1
        if not self.has_columns and not self._check_columns(row):
            return
        cell = self._cell(path, row)
        if cell is None:
            return
        if cell in self.seen:
            what = f"layer {show(cell[1])} on device {show(cell[2])} of model {show(cell[0])}"
            self.report.add(path, f"{what} is already in {self.seen[cell]}")
        self.seen[cell] = path
        values = {name: self._value(path, name, row) for name in self.scales}
        if not any(self._text(row, name) for name in self.scales):
            self.report.add(path, "neither a latency nor an energy")
        for name, value in values.items():
            if value is not None:
                model, layer, device = cell
                self.tables[name].setdefault(model, {}).setdefault(layer, {})[device] = value

    def _check_columns(self, row: Mapping[str, Any]) -> bool:
        """Check, once, that the table has the columns that every row needs."""
        names = [str(name) for name in row]
        needed = [self.columns["layer"], self.columns["device"]]
        if len(self.names.models) > 1:
            needed.append(self.columns["model"])
        missing = [name for name in needed if name not in names]
        if not any(self.columns[name] in names for name in self.scales):
            missing.append(f"{self.columns['latency']}, {self.columns['energy']} or both")
        if missing and not self.report.problems:
            found = ", ".join(show(name) for name in names[:20])
            hint = suggestion(missing[0], names)
            self.report.add("", f"column {'; '.join(missing)} is missing{hint}; columns are {found}")
        self.has_columns = not missing
        return self.has_columns

    def _cell(self, path: str, row: Mapping[str, Any]) -> tuple[str, str, str] | None:
        """(model, layer, device) of a row, or None where one of them is unknown."""
        models = self.names.models
        model = self._text(row, "model") or (next(iter(models)) if len(models) == 1 else "")
        layer, device = self._text(row, "layer"), self._text(row, "device")
        if not check_known(model, models, "model", path, self.report):
            return None
        known = check_known(layer, self.names.layers[model], f"layer of model {model}", path, self.report)
        devices = self.names.devices
        if devices is not None:
            known &= check_known(device, devices, "device", path, self.report)
        elif not device:
            self.report.add(path, "the device is missing")
            known = False
        return (model, layer, device) if known else None

    def _text(self, row: Mapping[str, Any], column: str) -> str:
        value = row.get(self.columns[column])
        text = "" if value is None else str(value).strip()
        return "" if text in _EMPTY and not isinstance(value, str) else text

    def _value(self, path: str, column: str, row: Mapping[str, Any]) -> float | None:
        text = self._text(row, column)
        if not text:
            return None
        try:
            value = float(text) * self.scales[column]
        except ValueError:
            value = math.nan
        if not 0 <= value < math.inf:
            self.report.add(path, f"{self.columns[column]} {show(text)}, expected a finite number >= 0")
            return None
        return value
