"""What a reader of ONNX files has to say beside the model itself."""

from __future__ import annotations

from msgspec import field

from dnnplan.instances.fields import Record


class ReadReport(Record, kw_only=True):
    """What was assumed, folded and left out while a file was read.

    Parameters
    ----------
    warnings
        One sentence each, for people.
    unknown_operators
        Operators without a FLOP rule (counted as bytes only), with the number of their nodes.
    opaque_operators
        Operators with sub-graphs (``If``, ``Loop``, ``Scan``), with the number of their nodes.
    guessed_dims
        Symbolic dimensions that nobody gave a value for, and the value taken.
    nodes, constant_nodes
        Nodes of the graph after local functions were inlined, and how many were folded into weights.
    shared_weights
        Constants that more than one layer reads, with those layers.
    """

    warnings: tuple[str, ...] = ()
    unknown_operators: dict[str, int] = field(default_factory=dict)
    opaque_operators: dict[str, int] = field(default_factory=dict)
    guessed_dims: dict[str, int] = field(default_factory=dict)
    nodes: int = 0
    constant_nodes: int = 0
    shared_weights: dict[str, tuple[str, ...]] = field(default_factory=dict)
