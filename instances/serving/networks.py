"""The early-exit networks of the bundled instances: light ONNX networks with heads, in int8."""

from __future__ import annotations

from msgspec.structs import replace

from dnnplan.instances.errors import InstanceError
from dnnplan.instances.model import Model
from dnnplan.instances.serving.heads import with_exits

CLASSES = 1000
EXITS = {
    "resnet50": {"n34": "layer1", "n76": "layer2", "n138": "layer3"},
    "inception-v1": {"n37": "3b", "n80": "4c", "n108": "4e"},
}
"""Exits behind the last layer of a group of blocks (ResNet-50) or of a module (Inception v1)."""

EXIT_SHARES = {
    "resnet50": {"layer1": 0.012, "layer2": 0.214, "layer3": 0.533},
    "inception-v1": {"3b": 0.30, "4c": 0.25, "4e": 0.20},
}
"""Probability to leave at each exit; the rest leaves at the end.

ResNet-50: BranchyResNet50 on CIFAR-100 (224 x 224) with entropy thresholds 1.0, 1.5 and 2.0, 73.55 % correct
(github.com/sriharshamudumba/Hetero-PIM, EarlyExit/early_exit_detailed_results.txt). Inception v1: ours.
"""


def early_exit_network(name: str) -> Model:
    """A light ONNX network with its exits, one byte a number.

    Raises
    ------
    MissingDependencyError
        The package `onnx` is not installed.
    """
    from dnnplan.instances.formats.onnx import light_network_paths, read_onnx  # loads when used

    model, _ = read_onnx(light_network_paths()[name], name=name)
    return with_exits(in_int8(model), EXITS[name], CLASSES)


def in_int8(model: Model) -> Model:
    """A network of 32-bit numbers with all weights and tensors in int8, a quarter of the bytes.

    Raises
    ------
    InstanceError
        The numbers of the network, or of one of its layers, are not float32.
    """
    kinds = {model.dtype, *(str(layer.attributes.get("dtype", model.dtype)) for layer in model.layers)}
    if kinds != {"float32"}:
        raise InstanceError(f"model {model.name}: numbers {', '.join(sorted(kinds))}, expected float32")
    return replace(
        model,
        dtype="int8",
        layers=tuple(
            replace(
                layer,
                weight_bytes=_quarter(layer.weight_bytes),
                workspace_bytes=_quarter(layer.workspace_bytes),
            )
            for layer in model.layers
        ),
        tensors=tuple(
            replace(
                tensor,
                bytes=_quarter(tensor.bytes),
                read_bytes={name: _quarter(size) for name, size in tensor.read_bytes.items()},
            )
            for tensor in model.tensors
        ),
    )


def _quarter(size: float) -> float:
    part = size / 4
    return int(part) if part.is_integer() else part
