"""Values that cross between parts, as the manifest names them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from dnnplan.costs.mapping import MappingProblem
from dnnplan.deploy.cut import Crossing
from dnnplan.deploy.manifest import Value
from dnnplan.deploy.work import Ref, Work
from dnnplan.instances import Model
from dnnplan.instances.formats.onnx.structure import printable, unique
from dnnplan.instances.formats.onnx.values import Value as OnnxValue
from dnnplan.instances.formats.onnx.values import dtype_bits

_CODES = {OnnxValue("", (), code).dtype_name: code for code in range(1, 27)}


class ValueTable:
    """Ids of the values of a job.

    Attributes
    ----------
    id_of
        ``task/job/tensor`` of every value that crosses.
    planned
        Those that are tensors of the instance; their id is the tensor's.
    """

    def __init__(
        self, work: Work, problem: MappingProblem, task: str, job: int, crossing: Sequence[Crossing]
    ) -> None:
        self.task, self.job = task, job
        known = _tensor_names(work)
        keys = set(problem.tensors)
        taken: set[str] = set()
        self.id_of: dict[Ref, str] = {}
        self.planned: set[Ref] = set()
        for c in crossing:
            key = f"{task}/{job}/{known.get(c.ref, '')}"
            if c.ref in known and key in keys and key not in taken:
                taken.add(key)
                self.id_of[c.ref] = key
                self.planned.add(c.ref)
        for c in crossing:
            if c.ref not in self.id_of:
                name = printable(work.name(c.ref)) or "value"
                self.id_of[c.ref] = unique(f"{task}/{job}/{name}", taken | keys)
                taken.add(self.id_of[c.ref])

    @staticmethod
    def type_of(info: Any) -> tuple[str, tuple[int | str, ...] | None]:
        """Element type and shape of a ValueInfoProto; a dimension is a number, a name, or empty where not known."""
        tensor = info.type.tensor_type
        dtype = OnnxValue(info.name, None, tensor.elem_type).dtype_name
        if not tensor.HasField("shape"):
            return dtype, None
        return dtype, tuple(
            int(dim.dim_value) if dim.HasField("dim_value") else str(dim.dim_param)
            for dim in tensor.shape.dim
        )

    @staticmethod
    def least_bytes(value: Value) -> int:
        """Bytes of a value whose symbolic dimensions are 1."""
        dims = [dim if isinstance(dim, int) else 1 for dim in value.shape or ()]
        return -(-math.prod(dims) * dtype_bits(_CODES.get(value.dtype, 0)) // 8)


def _tensor_names(work: Work) -> dict[Ref, str]:
    """Names of the tensors of the model that is mapped, by value."""
    if not work.members[0].prefix:
        member = work.members[0]
        return {Ref(0, name): tensor for name, tensor in _own_names(member.model, member.network).items()}
    found: dict[Ref, str] = {}
    numbered = _by_source(work.model)
    running = {own: name for name, own in work.layers.items()}
    for m, member in enumerate(work.members):
        own = {tensor: name for name, tensor in _own_names(member.model, member.network).items()}
        for source, names in _by_source(member.model).items():
            layer = None if source is None else running.get((m, source))
            if source is not None and layer is None:
                continue  # another task's layer runs in its place
            for number, tensor in enumerate(names):
                ref = Ref(m, own.get(tensor, ""))
                merged = numbered.get(layer, ())
                if ref.name and work.resolve(ref) == ref and number < len(merged):
                    found[ref] = merged[number]
    return found


def _own_names(model: Model, network: Any) -> dict[str, str]:
    """Tensor of the model by ONNX name: the reader numbers names that are the same once they can be printed."""
    names = {tensor.name for tensor in model.tensors}
    made = [name for node in network.nodes for name in node.writes]
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in (*network.inputs, *made):
        text = printable(name) or "tensor"
        if text in names and text not in taken:
            found[name] = text
            taken.add(text)
    return found


def _by_source(model: Model) -> dict[str | None, list[str]]:
    found: dict[str | None, list[str]] = {}
    for tensor in model.tensors:
        found.setdefault(tensor.source, []).append(tensor.name)
    return found
