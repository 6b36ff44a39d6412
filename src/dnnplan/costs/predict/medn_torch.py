"""MEDN in PyTorch: its sizes, its initial weights, and its forward pass with dropout."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

Parameters = dict[str, Any]
"""Names of `forward` -> tensors."""


@dataclass(frozen=True)
class MednSettings:
    """Sizes and steps of training.

    Attributes
    ----------
    members
        Networks whose outputs are averaged.
    width, encoder, decoder
        Units and layers of the encoder; units of each decoder.
    dropout
        Share of the outputs of the encoder's layers that is dropped.
    batch
        Rows of each module in a step.
    epochs, most_visits
        Times that a row is seen on average; less where rows x epochs would be more than `most_visits`.
    rate, decay
        The highest learning rate; decay of weights.
    """

    members: int = 4
    width: int = 96
    encoder: int = 2
    decoder: int = 32
    dropout: float = 0.1
    batch: int = 48
    epochs: int = 150
    most_visits: int = 1_500_000
    rate: float = 4e-3
    decay: float = 0.2


DEFAULT = MednSettings()


def forward(torch: Any, parameters: Parameters, rows: Any, dropped: Any = None) -> Any:
    """(members, modules, n) outputs for (members, modules, n, inputs) rows.

    Parameters
    ----------
    parameters
        ``start`` (members, modules, 1, width); ``encoder.N.weight`` (members, in, out) and ``.bias`` (members, 1,
        out); ``decoder.N.weight`` and ``.bias`` of members x modules.
    dropped
        A function that drops some of the outputs of a layer of the encoder.
    """
    silu = torch.nn.functional.silu
    members, modules, count, width = rows.shape
    signal = rows.reshape(members, modules * count, width)
    for at in range(count_layers(parameters, "encoder")):
        signal = torch.baddbmm(parameters[f"encoder.{at}.bias"], signal, parameters[f"encoder.{at}.weight"])
        if at == 0:
            signal = signal.reshape(members, modules, count, -1) + parameters["start"]
            signal = signal.reshape(members, modules * count, -1)
        signal = silu(signal)
        if dropped is not None:
            signal = dropped(signal)
    signal = signal.reshape(members * modules, count, -1)
    last = count_layers(parameters, "decoder") - 1
    for at in range(last + 1):
        signal = torch.baddbmm(parameters[f"decoder.{at}.bias"], signal, parameters[f"decoder.{at}.weight"])
        signal = silu(signal) if at < last else signal
    return signal.reshape(members, modules, count)


def count_layers(parameters: Parameters, part: str) -> int:
    """Layers of the encoder or of the decoder."""
    return sum(name.startswith(f"{part}.") and name.endswith(".weight") for name in parameters)


def initial(torch: Any, inputs: int, modules: int, settings: MednSettings, generator: Any) -> Parameters:
    """Weights uniform by the number of inputs of a layer, smaller in the last one; biases 0."""

    def uniform(fan_in: int, *shape: int) -> Any:
        return (2 * torch.rand(*shape, generator=generator) - 1) / math.sqrt(fan_in)

    members, width, parameters = settings.members, settings.width, {}
    for at, size in enumerate([inputs, *[width] * (settings.encoder - 1)]):
        parameters[f"encoder.{at}.weight"] = uniform(size, members, size, width)
        parameters[f"encoder.{at}.bias"] = torch.zeros(members, 1, width)
    both, hidden = members * modules, settings.decoder
    parameters["start"] = uniform(inputs, members, modules, 1, width)
    parameters["decoder.0.weight"] = uniform(width, both, width, hidden)
    parameters["decoder.0.bias"] = torch.zeros(both, 1, hidden)
    parameters["decoder.1.weight"] = 0.1 * uniform(hidden, both, hidden, 1)
    parameters["decoder.1.bias"] = torch.zeros(both, 1, 1)
    for tensor in parameters.values():
        tensor.requires_grad_()
    return parameters


@contextmanager
def one_thread(torch: Any) -> Iterator[None]:
    """Small products are slower on more threads, and would not be the same on every machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
