"""Small instances of serving: chains of stages whose costs are written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dnnplan.instances import Costs, Instance, Layer, Model, Tensor, Workload
from dnnplan.instances.sections import Arrivals, Stream


def chain(name: str, *exits: str, flops: float = 0, sizes: Sequence[float] = ()) -> Model:
    """One layer for each exit, and one for the rest; tensors of `sizes` bytes between them."""
    names = [*exits, "final"]
    layers = tuple(
        Layer(name=f"{label}-layer", exit=label if label in exits else None, flops=flops) for label in names
    )
    tensors = tuple(
        Tensor(
            name=f"x{k}",
            source=layers[k].name,
            targets=(layers[k + 1].name,),
            bytes=sizes[k] if sizes else 0,
        )
        for k in range(len(exits))
    )
    return Model(name=name, layers=layers, tensors=tensors)


def table(**stages: Sequence[float]) -> dict[str, dict[str, float]]:
    """Entries for 1, 2, ... samples of each stage."""
    return {name: {str(b): value for b, value in enumerate(row, start=1)} for name, row in stages.items()}


def stream(name: str = "camera", task: str = "net", rate: float | None = None, **fields: Any) -> Stream:
    """A stream of Poisson arrivals, unless `arrivals` says otherwise."""
    fields.setdefault("arrivals", Arrivals() if rate is None else Arrivals(kind="poisson", rate=rate))
    return Stream(name=name, task=task, **fields)


def served(
    latency: Mapping[str, Mapping[str, float]],
    *streams: Stream,
    models: Sequence[Model] = (),
    energy: Mapping[str, Mapping[str, float]] | None = None,
    **fields: Any,
) -> Instance:
    """An instance of tables: by default a network ``net`` of the stages ``early`` and ``final``, and one stream."""
    return Instance(
        models=tuple(models) or (chain("net", "early"),),
        costs=Costs(
            batch_latency={key: dict(row) for key, row in latency.items()},
            batch_energy={key: dict(row) for key, row in (energy or {}).items()},
            **fields.pop("costs", {}),
        ),
        workload=Workload(streams=streams or (stream(),), **fields.pop("workload", {})),
        **fields,
    )
