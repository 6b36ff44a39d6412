"""Exits that a network already has: its outputs."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from dnnplan.instances.errors import InstanceError
from dnnplan.instances.model import Model
from dnnplan.instances.wording import Report, show, unknown


def exits_at_outputs(model: Model, outputs: Sequence[str] | None = None) -> Model:
    """Mark the layers that write outputs as exits (`Layer.exit`), named like the outputs.

    Parameters
    ----------
    outputs
        Names of output tensors; None: all of them. The last one can be among them: then the last stage has its name.

    Raises
    ------
    InstanceError
        Unknown names, tensors that are no outputs or come from no layer, two outputs of one layer: all at once.

    Examples
    --------
    >>> from dnnplan.instances import Layer, Tensor
    >>> net = Model(
    ...     name="net",
    ...     layers=(Layer(name="a"), Layer(name="b")),
    ...     tensors=(
    ...         Tensor(name="x", source="a", targets=("b",), output=True),
    ...         Tensor(name="y", source="b", output=True),
    ...     ),
    ... )
    >>> [layer.exit for layer in exits_at_outputs(net, ["x"]).layers]
    ['x', None]
    """
    report = Report()
    found = {tensor.name: tensor for tensor in model.tensors if tensor.output}
    exits: dict[str, str] = {}
    for name in found if outputs is None else outputs:
        source = found[name].source if name in found else None
        if name not in found:
            report.add("outputs", unknown("output of the network", name, found))
        elif source is None:
            report.add("outputs", f"{show(name)} is an input of the network, expected what a layer writes")
        elif source in exits:
            both = f"{show(exits[source])} and {show(name)}"
            report.add("outputs", f"{both} come from one layer, expected one exit a layer")
        else:
            exits[source] = name
    if report.problems:
        raise InstanceError(problems=report.problems, source=f"model {model.name}")
    return replace(
        model,
        layers=tuple(
            replace(layer, exit=exits[layer.name]) if layer.name in exits else layer for layer in model.layers
        ),
    )
