"""The calls of a plan with everything that their times depend on, short of time itself."""

from __future__ import annotations

from dataclasses import dataclass

from dnnplan.costs.decisions import Decisions
from dnnplan.costs.mapping import MappingProblem


@dataclass(eq=False)
class CallGraph:
    """Calls as indices 0..C-1 and the tensors that cross between them.

    Parameters
    ----------
    device, compute, load, job
        (C,) device, seconds of compute and of loading weights (0: nothing to load), job.
    load_bytes
        (C,) bytes of the weights to load.
    inputs
        (C,) tensors read from outside, in the order of the instance.
    produced
        (C,) tensors that are read outside or are outputs, in the order of the instance.
    producer
        (K,) producing call, -1 for inputs of models.
    reader_calls
        {tensor: calls that read it from outside}, for tensors that have any.
    position
        (C,) position in the order of its device.
    """

    problem: MappingProblem
    decisions: Decisions
    device: list[int]
    compute: list[float]
    load: list[float]
    load_bytes: list[float]
    job: list[int]
    inputs: list[tuple[int, ...]]
    produced: list[tuple[int, ...]]
    producer: list[int]
    reader_calls: list[tuple[int, ...]]
    position: list[int]

    def first_reader(self, tensor: int, device: int) -> int:
        """The call on `device` that reads `tensor` from outside first in the order of that device."""
        readers = [c for c in self.reader_calls[tensor] if self.device[c] == device]
        return min(readers, key=self.position.__getitem__)

    def write_needed(self, tensor: int) -> bool:
        """Whether a tensor has to be written to the host (host staging)."""
        if self.problem.output[tensor]:
            return True
        home = self.device[self.producer[tensor]]
        home_kept = (tensor, home) in self.decisions.kept
        return any(self.device[c] != home or not home_kept for c in self.reader_calls[tensor])

    def read_bytes(self, tensor: int, call: int) -> float:
        """Bytes that a call reads of a tensor from the host: the most that one of its layers wants."""
        sizes = self.problem.read_sizes
        return max(sizes[tensor, i] for i in self.decisions.calls[call] if (tensor, i) in sizes)

    def read_seconds(self, tensor: int, call: int) -> float:
        """Seconds of reading a tensor from the host for a call."""
        return self.problem.read_seconds(tensor, self.device[call], self.read_bytes(tensor, call))


def call_graph(problem: MappingProblem, decisions: Decisions) -> CallGraph:
    """Collect what the times of the calls depend on."""
    calls, place = decisions.calls, decisions.place
    single = len(calls) == problem.n
    call_of = [0] * problem.n
    position = [0] * len(calls)
    for c, layers in enumerate(calls):
        for i in layers:
            call_of[i] = c
    for row in decisions.order:
        for p, c in enumerate(row):
            position[c] = p
    device = [place[layers[0]] for layers in calls]
    load, load_bytes = _loads(problem, decisions, device)
    duration = problem.duration
    if single:
        order = [layers[0] for layers in calls]
        compute = duration[order, device].tolist()
        inputs = [problem.inputs[i] for i in order]
        produced = [problem.outputs[i] for i in order]
        reader_calls = [tuple(call_of[i] for i in readers) for readers in problem.readers]
    else:
        compute = [
            float(sum(duration[i, d] for i in layers)) for layers, d in zip(calls, device, strict=True)
        ]
        inputs, produced, reader_calls = _outside(problem, calls, call_of)
    source = problem.source.tolist()
    return CallGraph(
        problem=problem,
        decisions=decisions,
        device=device,
        compute=compute,
        load=load,
        load_bytes=load_bytes,
        job=[int(problem.job_of[layers[0]]) for layers in calls],
        inputs=inputs,
        produced=produced,
        producer=[call_of[i] if i >= 0 else -1 for i in source],
        reader_calls=reader_calls,
        position=position,
    )


def _loads(
    problem: MappingProblem, decisions: Decisions, device: list[int]
) -> tuple[list[float], list[float]]:
    """Seconds and bytes of the weights that each call has to load."""
    count = len(decisions.calls)
    seconds, sizes = [0.0] * count, [0.0] * count
    if not problem.host or problem.execution.weights == "resident":
        return seconds, sizes
    weight_of, weight_bytes = problem.weight_of, problem.weight_bytes
    for c, layers in enumerate(decisions.calls):
        d = device[c]
        total = sum(float(weight_bytes[i]) for i in layers if int(weight_of[i]) not in decisions.pinned[d])
        if total > 0:
            sizes[c] = total
            seconds[c] = problem.load_seconds(d, total)
    return seconds, sizes


def _outside(
    problem: MappingProblem, calls: list[tuple[int, ...]], call_of: list[int]
) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Inputs, products and readers of calls of several layers: only what crosses between calls."""
    source = problem.source.tolist()
    reader_calls = []
    for k, readers in enumerate(problem.readers):
        home = call_of[source[k]] if source[k] >= 0 else -1
        reader_calls.append(tuple(dict.fromkeys(call_of[i] for i in readers if call_of[i] != home)))
    inputs, produced = [], []
    for c, layers in enumerate(calls):
        read = {k for i in layers for k in problem.inputs[i] if source[k] < 0 or call_of[source[k]] != c}
        made = {k for i in layers for k in problem.outputs[i] if reader_calls[k] or problem.output[k]}
        inputs.append(tuple(sorted(read)))
        produced.append(tuple(sorted(made)))
    return inputs, produced, reader_calls
