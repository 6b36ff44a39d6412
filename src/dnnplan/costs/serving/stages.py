"""Stages of an early-exit network: the layers between two exits, and what passes from one to the next."""

from __future__ import annotations

from dataclasses import dataclass

from dnnplan.instances import InstanceError, Model
from dnnplan.instances.exits import FINAL, layers_by_stage
from dnnplan.instances.wording import show


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The layers that run between two exits.

    Parameters
    ----------
    name
        The exit that ends it; ``final`` where the last layers carry none.
    layers
        Positions in `Model.layers`, ascending.
    reads
        Positions in `Model.tensors` of what it reads from earlier stages, ascending.
    bytes
        Of these for one sample: what a sample that waits for the stage keeps in memory.
    """

    name: str
    layers: tuple[int, ...]
    reads: tuple[int, ...]
    bytes: float


def stages_of(model: Model) -> tuple[Stage, ...]:
    """Cut a network at its exits (`Layer.exit`); one without exits is one stage.

    Stage k has the layers that exit k needs and that no earlier stage has, see
    `dnnplan.instances.exits.layers_by_stage`. Inputs of the network are in no `reads`: they are there on arrival.

    Raises
    ------
    InstanceError
        An exit adds no layer, or an exit before the end is called ``final``.

    Examples
    --------
    >>> from dnnplan.instances import Layer, Tensor
    >>> layers = (Layer(name="a"), Layer(name="head", exit="early"), Layer(name="b"))
    >>> x = Tensor(name="x", source="a", targets=("head", "b"), bytes=100)
    >>> [(s.name, s.layers, s.bytes) for s in stages_of(Model(name="net", layers=layers, tensors=(x,)))]
    [('early', (0, 1), 0), ('final', (2,), 100)]
    """
    cut = layers_by_stage(model)
    names = [name for name, _ in cut]
    if FINAL in names[:-1]:
        raise InstanceError(
            f"model {show(model.name)}: exit {show(FINAL)} is not the last one, expected another name"
        )
    position = {layer.name: i for i, layer in enumerate(model.layers)}
    stage_of = {layer: k for k, (_, layers) in enumerate(cut) for layer in layers}
    found = []
    for k, (name, layers) in enumerate(cut):
        if not layers and model.layers:
            raise InstanceError(
                f"model {show(model.name)}: exit {show(name)} needs no layer beyond those of earlier exits"
            )
        reads = tuple(
            i
            for i, tensor in enumerate(model.tensors)
            if tensor.source is not None
            and stage_of[tensor.source] < k
            and any(stage_of[target] == k for target in tensor.targets)
        )
        found.append(
            Stage(
                name=name,
                layers=tuple(position[layer] for layer in layers),
                reads=reads,
                bytes=sum(model.tensors[i].bytes for i in reads),
            )
        )
    return tuple(found)
