"""Early exits: the stages that they cut a network into, in the order in which a sample passes them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from dnnplan.instances.model import Model

FINAL = "final"
"""Name of the last stage of a network whose last layers carry no exit of their own."""


def layers_by_stage(model: Model) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Name and layers of each stage: the layers between two exits, and what the exit itself needs.

    A stage has the layers that its exit needs and that no earlier stage has, in the order of the model. Exits
    come in the order of the number of their layers that the rest of the network needs too (their share of the
    trunk): an exit behind another one comes later. Equal ones, such as the last exit and the one before it, come in
    the order of their work, then of their layers. Layers that no exit needs are the last stage, ``final``. An exit
    that several layers carry ends with the last of them.

    Examples
    --------
    >>> from dnnplan.instances import Layer, Tensor
    >>> layers = (Layer(name="a"), Layer(name="head", exit="early"), Layer(name="b"))
    >>> net = Model(name="net", layers=layers, tensors=(Tensor(name="x", source="a", targets=("head", "b")),))
    >>> layers_by_stage(net)
    (('early', ('a', 'head')), ('final', ('b',)))
    """
    sources = _sources(model)
    carriers: dict[str, list[str]] = {}
    for layer in model.layers:
        if layer.exit is not None:
            carriers.setdefault(layer.exit, []).append(layer.name)
    needs = {name: _ancestors(layers, sources) for name, layers in carriers.items()}
    covered = set().union(*needs.values())
    rest = _ancestors((layer.name for layer in model.layers if layer.name not in covered), sources)
    work = {layer.name: layer.flops for layer in model.layers}

    def order(name: str) -> tuple[int, float, int]:
        shared = rest.union(*(other for key, other in needs.items() if key != name))
        return len(needs[name] & shared), sum(work[layer] for layer in needs[name]), len(needs[name])

    stages, placed = [], set[str]()
    for name in sorted(needs, key=order):
        stages.append((name, _in_order(model, needs[name] - placed)))
        placed |= needs[name]
    if rest - placed or not stages:
        stages.append((FINAL, _in_order(model, rest - placed)))
    return tuple(stages)


def stage_names(model: Model) -> tuple[str, ...]:
    """Names of the stages of a network: its exits in order, the last one included."""
    return tuple(name for name, _ in layers_by_stage(model))


def _sources(model: Model) -> dict[str, list[str]]:
    """Layers that each layer reads from."""
    sources: dict[str, list[str]] = {layer.name: [] for layer in model.layers}
    for tensor in model.tensors:
        if tensor.source in sources:
            for target in tensor.targets:
                if target in sources:
                    sources[target].append(tensor.source)
    return sources


def _ancestors(layers: Iterable[str], sources: Mapping[str, Collection[str]]) -> set[str]:
    """Layers that have to run for these, themselves included."""
    found = set(layers)
    open_layers = list(found)
    while open_layers:
        for source in sources[open_layers.pop()]:
            if source not in found:
                found.add(source)
                open_layers.append(source)
    return found


def _in_order(model: Model, layers: Collection[str]) -> tuple[str, ...]:
    return tuple(layer.name for layer in model.layers if layer.name in layers)
