"""Cost tables filled from sources: every layer of every model on every device, at the median or a quantile."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from dnnplan.costs.compute import compute_costs, may_run, table_entry
from dnnplan.costs.filled.folder import EVERY
from dnnplan.costs.filled.source import CostSource, LayerCosts, checked_costs
from dnnplan.costs.filled.tables import Filled, Flag, ModelCosts, require_platform, standard_normal
from dnnplan.costs.routes import FloatArray, device_copies
from dnnplan.instances import Device, Instance, Memory, Model, Platform, Problem
from dnnplan.instances.errors import InputError, UnsupportedError
from dnnplan.instances.validation.names import device_names
from dnnplan.instances.wording import at, unknown


def fill_costs(
    instance: Instance, sources: Mapping[str, CostSource], quantile: float | None = None
) -> Filled:
    """Fill the latency tables of an instance: every layer of every model that a task uses, on every device.

    Parameters
    ----------
    sources
        By the name of a copy, of a device for all its copies, or ``*`` for all others; the first of these counts. A
        device without a source keeps the instance's own cost model, without error.
    quantile
        Of each layer, see `ModelCosts.at`; None: medians.

    Returns
    -------
    Filled
        What rules, operators and rows of the instance's own tables rule out stays ruled out; entries of these tables
        stay. Energy follows the seconds, where no table gives it.

    Raises
    ------
    InputError
        Sources for devices that do not exist, a quantile that is none, or costs of a source that cannot be.
    InstanceError
        The instance has no platform or no models.
    UnsupportedError
        Tasks with different batches use one model: a table holds for one.

    Examples
    --------
    >>> from dnnplan.costs.filled import analytic_source
    >>> from dnnplan.instances import Layer
    >>> instance = Instance(
    ...     models=(Model(name="net", layers=(Layer(name="conv", flops=3e6),)),),
    ...     platform=Platform(devices=(Device(name="npu"),)),
    ... )
    >>> source = analytic_source({"kind": "roofline", "peak": 1e9}, error=0.2)
    >>> fill_costs(instance, {"*": source}).instance.costs.latency
    {'net': {'conv': {'npu': 0.003}}}
    """
    platform = require_platform(instance)
    _require_known(sources, platform)
    if quantile is not None:
        standard_normal(quantile)
    models = {model.name: model for model in instance.models}
    filling = _Filling(instance, platform, sources)
    costs = {name: filling.model(models[name], batch) for name, batch in _batches(instance).items()}
    empty = Filled(
        instance=instance,
        given=instance,
        models=costs,
        quantile=quantile,
        flags=tuple(filling.flags),
        sourced=filling.sourced,
        kept=filling.kept,
    )
    return dataclasses.replace(empty, instance=empty.at(quantile))


def _require_known(sources: Mapping[str, CostSource], platform: Platform) -> None:
    known = {**device_names(platform), EVERY: EVERY}
    problems = [
        Problem(at("devices", name), unknown("device", name, known)) for name in sources if name not in known
    ]
    if problems:
        raise InputError(problems=problems)


def _batches(instance: Instance) -> dict[str, int]:
    """Batch by model, of the models that tasks use."""
    batches: dict[str, int] = {}
    for task in instance.effective_tasks():
        if batches.setdefault(task.model, task.batch) != task.batch:
            raise UnsupportedError(
                f"tasks use model {task.model} with batches {batches[task.model]} and {task.batch}; a table of costs "
                "holds for one batch: give one of the tasks a copy of the model with a name of its own"
            )
    return batches


class _Filling:
    """Collects the costs of models, and what is doubtful about them."""

    def __init__(self, instance: Instance, platform: Platform, sources: Mapping[str, CostSource]) -> None:
        self.instance, self.platform, self.sources = instance, platform, sources
        self.memories = {memory.name: memory for memory in platform.memories}
        self.flags: list[Flag] = []
        self.noted: set[Flag] = set()
        self.sourced = self.kept = 0

    def model(self, model: Model, batch: int) -> ModelCosts:
        """Costs of the layers of one model on all devices, (L, m)."""
        columns: list[tuple[FloatArray, FloatArray, FloatArray]] = []
        hardware: dict[tuple[str, str], int] = {}
        numbers: list[int] = []
        asked: dict[str, LayerCosts] = {}
        copies = [(device, copy) for device in self.platform.devices for copy in device_copies(device)]
        for device, copy in copies:
            key = next((k for k in (copy, device.name, EVERY) if k in self.sources), None)
            place = (copy if key is None else key, device.name)
            numbers.append(hardware.setdefault(place, len(hardware)))
            own = self._own(model, device, copy, batch)
            if key is None:
                columns.append((own, np.zeros_like(own), np.zeros_like(own)))
                continue
            if key not in asked:
                asked[key] = checked_costs(self.sources[key], model, batch, copy)
            seconds, spread, common, used = self._column(model, (device, copy), asked[key], own)
            self._flag(model, copy if key == copy else device.name, asked[key], used)
            columns.append((seconds, spread, common))
        stacked = [np.stack(arrays, axis=1) for arrays in zip(*columns, strict=True)]
        return ModelCosts(
            layers=tuple(layer.name for layer in model.layers),
            devices=tuple(copy for _, copy in copies),
            seconds=stacked[0],
            spread=stacked[1],
            common=stacked[2],
            hardware=np.array(numbers, dtype=np.int64),
        )

    def _flag(self, model: Model, device: str, found: LayerCosts, used: set[str]) -> None:
        """Note what is doubtful of the layers whose costs are used; once for all copies."""
        for layer, reason in found.flags:
            flag = Flag(model=model.name, layer=layer, device=device, reason=reason)
            if layer in used and flag not in self.noted:
                self.noted.add(flag)
                self.flags.append(flag)

    def _own(self, model: Model, device: Device, copy: str, batch: int) -> FloatArray:
        """(L,) seconds as the instance itself has them."""
        memory: Memory | None = self.memories.get(device.memory or "")
        tables: tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]] = (
            self.instance.costs.latency.get(model.name, {}),
            {},
        )
        return compute_costs(model, device, copy, memory, batch, tables)[0]

    def _column(
        self, model: Model, where: tuple[Device, str], found: LayerCosts, own: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray, set[str]]:
        """Seconds and errors (L,) on one device, of a source where nothing of the instance's own stays; and where."""
        device, copy = where
        seconds = found.seconds[:, 0].astype(float)
        spread = np.where(np.isfinite(seconds), found.spread[:, 0], 0.0)
        common = np.where(np.isfinite(seconds), found.common, 0.0)
        rows = self.instance.costs.latency.get(model.name, {})
        used: set[str] = set()
        for i, layer in enumerate(model.layers):
            row = rows.get(layer.name)
            if row is None and may_run(layer, device, copy):
                self.sourced += int(np.isfinite(seconds[i]))
                used.add(layer.name)
                continue
            seconds[i], spread[i], common[i] = own[i], 0.0, 0.0
            if not may_run(layer, device, copy):
                seconds[i] = np.inf
            elif row is not None and table_entry(row, device, copy) is not None:
                self.kept += 1
        return seconds, spread, common, used
