"""Whether a model means something: names, the graph of layers and tensors, rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from dnnplan.instances.model import Layer, Model, Tensor
from dnnplan.instances.validation.cycles import find_cycle
from dnnplan.instances.validation.names import check_known, check_unique
from dnnplan.instances.wording import Report, at, first_names, show


def model_problems(model: Model, devices: Collection[str] | None, path: str, report: Report) -> None:
    """Check one model; `devices` are the names that rules may use, None: not known yet."""
    check_unique((layer.name for layer in model.layers), "layer", at(path, "layers"), report)
    check_unique((tensor.name for tensor in model.tensors), "tensor", at(path, "tensors"), report)
    layers = {layer.name for layer in model.layers}
    for index, tensor in enumerate(model.tensors):
        _tensor_problems(tensor, layers, path, index, report)
    _graph_problems(model, path, report)
    if devices is not None:
        for index, layer in enumerate(model.layers):
            if layer.devices is not None:
                _rule_problems(layer, devices, at(at(at(path, "layers"), index), "devices"), report)
    for index, group in enumerate(model.colocate):
        here = at(at(path, "colocate"), index)
        _check_layers(group, layers, here, report)


def _tensor_problems(tensor: Tensor, layers: set[str], path: str, index: int, report: Report) -> None:
    # Paths are made only where something is wrong: there are as many tensors as layers.
    targets = tensor.targets
    fine = (tensor.source is None or tensor.source in layers) and layers.issuperset(targets)
    if fine and len(set(targets)) == len(targets) and tensor.source not in targets and not tensor.read_bytes:
        return
    here = at(at(path, "tensors"), index)
    if tensor.source is not None:
        check_known(tensor.source, layers, "layer of this model", at(here, "source"), report)
    _check_layers(targets, layers, at(here, "targets"), report)
    if tensor.source is not None and tensor.source in targets:
        where = at(at(here, "targets"), targets.index(tensor.source))
        report.add(where, f"{show(tensor.source)} is also the source; a layer cannot read what it writes")
    for name in tensor.read_bytes:
        if name not in targets:
            where = at(at(here, "read_bytes"), name)
            report.add(where, f"{show(name)} is not one of the targets of this tensor")


def _check_layers(names: tuple[str, ...], layers: set[str], path: str, report: Report) -> None:
    seen: set[str] = set()
    for index, name in enumerate(names):
        check_known(name, layers, "layer of this model", at(path, index), report)
        if name in seen:
            report.add(at(path, index), f"{show(name)} is listed twice")
        seen.add(name)


def _graph_problems(model: Model, path: str, report: Report) -> None:
    successors: dict[str, list[str]] = {layer.name: [] for layer in model.layers}
    for tensor in model.tensors:
        if tensor.source in successors:
            # A tensor that its own source reads has been reported as that.
            successors[tensor.source].extend(
                t for t in tensor.targets if t in successors and t != tensor.source
            )
    cycle = find_cycle(successors)
    if cycle:
        shown = " -> ".join(show(name) for name in cycle[:8])
        rest = f" -> ... ({len(cycle)} layers)" if len(cycle) > 8 else ""
        report.add(at(path, "tensors"), f"cycle {shown}{rest} -> {show(cycle[0])}, expected an acyclic graph")


def _rule_problems(layer: Layer, devices: Collection[str], path: str, report: Report) -> None:
    rule = layer.devices
    assert rule is not None
    for index, name in enumerate(rule.allow or ()):
        check_known(name, devices, "device", at(at(path, "allow"), index), report)
    for index, name in enumerate(rule.forbid):
        check_known(name, devices, "device", at(at(path, "forbid"), index), report)
    if rule.fix is not None:
        check_known(rule.fix, devices, "device", at(path, "fix"), report)


def block_problems(model: Model, blocks: tuple[tuple[str, ...], ...], path: str, report: Report) -> None:
    """Check that blocks cut the model's layers into consecutive pieces."""
    if not blocks:
        return
    layers = {layer.name for layer in model.layers}
    counts = Counter(name for block in blocks for name in block)
    position: dict[str, int] = {}
    for index, block in enumerate(blocks):
        for place, name in enumerate(block):
            here = at(at(path, index), place)
            check_known(name, layers, "layer of the task's model", here, report)
            if counts[name] > 1 and name in position:
                report.add(here, f"{show(name)} is already in block {position[name]}")
            position.setdefault(name, index)
    missing = [layer.name for layer in model.layers if layer.name not in position]
    if missing:
        report.add(path, f"without {first_names(missing, len(missing))}, expected every layer in a block")
    _check_block_order(model, position, path, report)


def _check_block_order(model: Model, position: dict[str, int], path: str, report: Report) -> None:
    for tensor in model.tensors:
        before = position.get(tensor.source) if tensor.source is not None else None
        for target in tensor.targets:
            after = position.get(target)
            if before is not None and after is not None and after < before:
                what = f"block {after} reads {show(tensor.name)} of block {before}"
                report.add(path, f"{what}, expected blocks in the order of the graph")
                return
