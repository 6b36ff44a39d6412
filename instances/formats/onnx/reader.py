"""Reading an ONNX file as a model: the steps, in order."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dnnplan.instances.errors import FormatError
from dnnplan.instances.formats.onnx.coarsen import coarsen_chains
from dnnplan.instances.formats.onnx.dimensions import Dimensions, bind_dimensions
from dnnplan.instances.formats.onnx.folding import fold_constants
from dnnplan.instances.formats.onnx.functions import inline_functions
from dnnplan.instances.formats.onnx.fusion import group_nodes
from dnnplan.instances.formats.onnx.layers import LayerBuilder
from dnnplan.instances.formats.onnx.report import ReadReport
from dnnplan.instances.formats.onnx.safety import ReadLimits, load_model
from dnnplan.instances.formats.onnx.shapes import infer_values, strip_constants
from dnnplan.instances.formats.onnx.structure import check_structure, printable, read_nodes
from dnnplan.instances.formats.onnx.values import Graph
from dnnplan.instances.model import Model

_SHOWN = 8
"""How many names a warning lists."""


def read_onnx(
    path: str | Path,
    *,
    dims: Mapping[str, int] | None = None,
    name: str | None = None,
    fuse: bool = True,
    residual: bool = False,
    coarsen: bool = False,
    limits: ReadLimits | None = None,
) -> tuple[Model, ReadReport]:
    """Read an ONNX file as a model.

    FLOPs and bytes are those of the shapes in the file: with a batch dimension of 1, those of one sample.
    Where the batch is symbolic leave it at 1 and give the batch to the task; a file with a fixed larger
    batch is planned with that whole batch as its "sample".

    Parameters
    ----------
    dims
        Number for each symbolic dimension, e.g. ``{"batch": 1}``; ``INPUT[AXIS]`` names one without a name.
    name
        Name of the model; the stem of the file unless given.
    fuse
        Join elementwise and normalisation tails with their producers (see `fusion`).
    residual
        Also join sums of two branches with the branch that is computed last.
    coarsen
        Join chains of layers.

    Returns
    -------
    tuple
        The model, and a report of what was assumed. FLOPs in FLOP (a multiply-accumulate is 2), sizes in
        bytes. ``attributes["onnx_nodes"]`` of each layer names the nodes it stands for; every node that is
        not a constant is in exactly one layer.

    Raises
    ------
    FormatError
        Damaged, hostile or too large a file; cycles, dangling or doubly produced tensors; symbolic input
        dimensions without a value.
    InputError
        `dims` with values that are not positive whole numbers.
    MissingDependencyError
        The package `onnx` is not installed.
    """
    path = Path(path)
    limits = limits or ReadLimits()
    dimensions = Dimensions(dims)
    try:
        graph, notes = _read_graph(path, dimensions, limits)
    except FormatError as error:
        if error.source is not None:
            raise
        raise FormatError(problems=error.problems, source=str(path)) from error
    groups = group_nodes(graph, fuse=fuse, residual=residual)
    if not groups:
        raise FormatError("no node depends on an input: there is nothing to plan", source=str(path))
    if coarsen:
        groups = coarsen_chains(groups, graph)
    builder = LayerBuilder(graph, groups)
    dtype = builder.model_dtype()
    model = Model(
        name=_model_name(name or path.stem),
        dtype=dtype,
        layers=builder.layers(dtype),
        tensors=builder.tensors(),
        source=path.name,
    )
    return model, _report(graph, builder, dimensions, notes)


def _model_name(text: str) -> str:
    return printable(text.replace("/", "_"))[:256] or "model"


def _read_graph(path: Path, dimensions: Dimensions, limits: ReadLimits) -> tuple[Graph, list[str]]:
    """The checked graph with a shape for every value it can have one for, and warnings."""
    source = str(path)
    proto = load_model(path, limits)
    constants, stored = strip_constants(proto, limits.elements)
    proto = inline_functions(proto, limits, source)
    inputs = [value.name for value in proto.graph.input if value.name not in constants]
    outputs = [value.name for value in proto.graph.output]
    nodes = read_nodes(proto.graph, limits.elements)
    order = check_structure(nodes, {*inputs, *constants}, outputs, source)
    nodes = reorder(proto.graph, nodes, order)
    bind_dimensions(proto.graph, inputs, dimensions, limits.elements, source)
    values, guessed = infer_values(proto, constants, limits.elements, source)
    graph = Graph(
        name=proto.graph.name,
        nodes=nodes,
        inputs=inputs,
        outputs=outputs,
        values=values,
        constants=set(constants),
        stored_bytes=stored,
    )
    fold_constants(graph)
    return graph, _data_dependent(guessed)


def reorder(graph: Any, nodes: list[Any], order: list[int]) -> list[Any]:
    """Bring nodes and the GraphProto into topological order: shape inference reads them in file order."""
    if order == list(range(len(nodes))):
        return nodes
    copies = []
    for position in order:
        copy = type(graph.node[position])()
        copy.CopyFrom(graph.node[position])
        copies.append(copy)
    del graph.node[:]
    graph.node.extend(copies)
    ordered = [nodes[position] for position in order]
    for index, node in enumerate(ordered):
        node.index = index
    return ordered


def _data_dependent(guessed: list[str]) -> list[str]:
    if not guessed:
        return []
    return [
        f"{len(guessed)} tensors have dimensions that depend on data or could not be inferred, taken as 1: "
        + _names(guessed)
    ]


def _names(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(repr(printable(name)) for name in names[:_SHOWN]) + more


def _report(graph: Graph, builder: LayerBuilder, dimensions: Dimensions, notes: list[str]) -> ReadReport:
    counter = builder.counter
    warnings = [*dimensions.warnings(), *notes]
    warnings += [
        f"operator {kind} ({_times(count)}) has no FLOP rule: counted as bytes only"
        for kind, count in counter.unknown.items()
    ]
    warnings += [
        f"operator {kind} ({_times(count)}) contains sub-graphs: one opaque layer each, counted as bytes only"
        for kind, count in counter.opaque.items()
    ]
    if counter.shapeless:
        warnings.append(
            f"{_times(len(counter.shapeless), 'node')} counted as 0 FLOP, their shapes being unknown or "
            f"contradictory: {_names(counter.shapeless)}"
        )
    crossing = [name for name in builder.crossing() if graph.value(name).shape is None]
    if crossing:
        warnings.append(
            f"{_times(len(crossing), 'tensor')} of unknown shape, counted as 0 bytes: {_names(crossing)}"
        )
    warnings += _usage_warnings(graph, builder)
    return ReadReport(
        warnings=tuple(warnings),
        unknown_operators=dict(counter.unknown),
        opaque_operators=dict(counter.opaque),
        guessed_dims=dict(dimensions.guessed),
        nodes=len(graph.nodes),
        constant_nodes=len(graph.constant_nodes),
        shared_weights={
            printable(name): tuple(layers)
            for name, layers in builder.weight_readers.items()
            if len(layers) > 1
        },
    )


def _usage_warnings(graph: Graph, builder: LayerBuilder) -> list[str]:
    """Inputs that nothing reads, outputs that nothing computes, layers that nothing needs."""
    readers = builder.readers
    warnings = [
        f"input {printable(name)!r} is not used"
        for name in graph.inputs
        if name not in readers.readers and name not in readers.outputs
    ]
    warnings += [
        f"output {printable(name)!r} does not depend on any input: no layer computes it"
        for name in graph.outputs
        if name in graph.constants
    ]
    idle = [
        main.name
        for group, main in zip(builder.groups, builder.main, strict=True)
        if not readers.live(group.nodes)
    ]
    if idle:
        warnings.append(f"{_times(len(idle), 'layer')} without any effect on an output: {_names(idle)}")
    return warnings


def _times(count: int, thing: str = "node") -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
