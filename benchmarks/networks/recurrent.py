"""A recurrent network: an embedding, a bidirectional LSTM, a GRU, a classifier."""

from __future__ import annotations

from typing import Any

from benchmarks.networks.builder import INT64, NetworkBuilder


def build_recurrent(
    *,
    length: int = 50,
    vocabulary: int = 1000,
    features: int = 64,
    hidden: int = 128,
    classes: int = 10,
    light: bool = False,
    seed: int = 0,
    batch: int | str = 1,
) -> Any:
    """Classify sequences of `length` tokens by the last state of a GRU over a bidirectional LSTM."""
    net = NetworkBuilder("recurrent")
    tokens = net.input("tokens", [length, batch], INT64)
    value = net.node("Gather", net.weight("embedding", vocabulary, features), tokens, axis=0)
    value = net.node(
        "LSTM",
        value,
        net.weight("lstm_w", 2, 4 * hidden, features),
        net.weight("lstm_r", 2, 4 * hidden, hidden),
        net.weight("lstm_b", 2, 8 * hidden),
        hidden_size=hidden,
        direction="bidirectional",
    )
    # (length, directions, batch, hidden) -> (length, batch, directions x hidden)
    value = net.node("Transpose", value, perm=[0, 2, 1, 3])
    value = net.node("Reshape", value, net.integers(0, 0, 2 * hidden))
    states = net.node(
        "GRU",
        value,
        net.weight("gru_w", 1, 3 * hidden, 2 * hidden),
        net.weight("gru_r", 1, 3 * hidden, hidden),
        net.weight("gru_b", 1, 6 * hidden),
        hidden_size=hidden,
        outputs=2,
    )
    last = net.node("Squeeze", f"{states}_1", net.integers(0))
    logits = net.node(
        "Gemm",
        last,
        net.weight("classifier_w", classes, hidden),
        net.weight("classifier_b", classes),
        transB=1,
    )
    net.output(net.node("Softmax", logits), "probabilities", [batch, classes])
    return net.model(light=light, seed=seed)
