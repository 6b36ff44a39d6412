"""Tensors that travel through the host (docs/cost-model.md, section 4.2).

Symbols: tensor k, made by layer i or an input of the network, read by layers j; keep[k,d]: k stays on d; w[k,a]
ticks of writing k from a, r[k,j,b] ticks of reading it for j on b; p: a transfer takes place.
"""

from __future__ import annotations

import math

from dnnplan.formulations.mapping.cpsat.channels import load_weights, one_transfer_at_a_time
from dnnplan.formulations.mapping.cpsat.direct import calls_last, new_move, receiving_ends
from dnnplan.formulations.mapping.cpsat.variables import BoolVar, Move, Variables


def move_tensors(v: Variables) -> None:
    """All constraints on tensors under host staging."""
    writes: dict[int, Move] = {}
    for k in range(len(v.problem.tensors)):
        _decide_what_is_kept(v, k)
        readers_wait_for_producer(v, k)
        if v.problem.source[k] >= 0:
            write = outside_readers_need_a_write(v, k)
            if write is not None:
                writes[k] = write
    for k in range(len(v.problem.tensors)):
        reads_bring_tensors(v, k, writes.get(k))
    load_weights(v)
    if not v.problem.execution.overlap:
        calls_last(v)
        _writes_end_calls(v, writes)
    one_transfer_at_a_time(v)


def _decide_what_is_kept(v: Variables, k: int) -> None:
    """keep[k,d] is a decision under live memory; otherwise keeping is free, and everything is kept."""
    for d in v.devices_of(v.problem.readers[k]):
        v.keep[k, d] = v.flag(f"keep_{k}_{d}") if v.live else v.always


def _made_on(v: Variables, k: int, d: int) -> BoolVar:
    """BoolVar: tensor k is made on device d (never, for inputs)."""
    i = int(v.problem.source[k])
    return v.on(i, d) if i >= 0 else v.never


def readers_wait_for_producer(v: Variables, k: int) -> None:
    """s_j >= e_i, and >= the release of an input's job if it is read inside the call."""
    i = int(v.problem.source[k])
    for j in v.problem.readers[k]:
        if i >= 0:
            v.model.add(v.start[j] >= v.end[i])
        elif v.problem.tensor_release[k] > 0:
            v.model.add(v.start[j] >= int(v.problem.tensor_release[k]))


def outside_readers_need_a_write(v: Variables, k: int) -> Move | None:
    """p_write >= x[j,b] - x[i,b], p_write >= x[j,b] - keep[k,b]; 1 for outputs.

    With overlap: S >= e_i and E - S = w[k,a]; without, the write is inside the call of i (`calls_last`).
    """
    problem = v.problem
    i = int(problem.source[k])
    if not problem.readers[k] and not problem.output[k]:
        return None
    write = new_move(v, "write", k, problem.m, i)
    if problem.output[k]:
        v.model.add(write.present == 1)
    for j in problem.readers[k]:
        for b, reads in v.x[j].items():
            v.model.add_bool_or([write.present, ~reads, _made_on(v, k, b)])
            v.model.add_bool_or([write.present, ~reads, v.keep[k, b]])
    for a, at in v.x[i].items():
        ticks = problem.move_seconds(k, a, problem.m)
        if math.isinf(ticks):
            v.model.add_bool_or([~at, ~write.present])
        else:
            v.model.add(write.end - write.start == int(ticks)).only_enforce_if(at, write.present)
    if problem.execution.overlap:
        v.model.add(write.start >= v.end[i])
    else:
        v.model.add(write.end == write.start).only_enforce_if(~write.present)
    return write


def reads_bring_tensors(v: Variables, k: int, write: Move | None) -> None:
    """Every reader has the tensor: made here and kept, read by itself, or kept after another one read it.

    x[j,b] => (x[i,b] and keep[k,b]) or p_read[j] or (keep[k,b] and p_read[j'] and x[j',b], j' /= j): of the readers
    on a device that keeps the tensor one reads it, and the others start when it has arrived.
    """
    problem = v.problem
    reads: dict[int, Move] = {}
    for j in problem.readers[k]:
        read = new_move(v, "read", k, -1, j)
        reads[j] = read
        if problem.execution.overlap:
            v.model.add(v.start[j] >= read.end).only_enforce_if(read.present)
            if write is not None:
                v.model.add(read.start >= write.end).only_enforce_if(read.present)
            elif problem.tensor_release[k] > 0:
                v.model.add(read.start >= int(problem.tensor_release[k]))
        else:
            v.model.add(read.start >= v.start[j])
            v.model.add(read.end == read.start).only_enforce_if(~read.present)
            v.busy[j].append(read)
        for b, on in v.x[j].items():
            ticks = problem.read_seconds(k, b, problem.read_sizes[k, j])
            if math.isinf(ticks):
                v.model.add_bool_or([~on, ~read.present])
            else:
                v.model.add(read.end - read.start == int(ticks)).only_enforce_if(on, read.present)
    for b in v.devices_of(problem.readers[k]):
        _readers_on(v, k, b, reads)


def _readers_on(v: Variables, k: int, b: int, reads: dict[int, Move]) -> None:
    """Who reads tensor k on device b, and who finds it there."""
    problem = v.problem
    keep, made = v.keep[k, b], _made_on(v, k, b)
    readers = [j for j in problem.readers[k] if b in v.x[j]]
    here = {}
    for j in readers:
        here[j] = v.flag("")
        v.model.add_multiplication_equality(here[j], [reads[j].present, v.x[j][b]])
    for j in readers:
        others = [here[o] for o in readers if o != j]
        v.model.add_bool_or([here[j], ~v.x[j][b], keep])
        v.model.add_bool_or([here[j], ~v.x[j][b], made, *others])
        v.model.add_bool_or([~here[j], ~keep, ~made])
        for o in readers:
            if o != j:
                v.model.add_bool_or([~here[j], ~here[o], ~keep])
                arrived = reads[j].end if problem.execution.overlap else receiving_ends(v, j)
                v.model.add(v.start[o] >= arrived).only_enforce_if(here[j], v.x[o][b], keep)
                if problem.execution.overlap:
                    # The first reader in the order of the device is the one that reads.
                    v.model.add(v.start[o] >= v.start[j]).only_enforce_if(here[j], v.x[o][b], keep)


def _writes_end_calls(v: Variables, writes: dict[int, Move]) -> None:
    """Without overlap a call writes one tensor after the other when it has computed, and ends after the last one."""
    last: dict[int, object] = {}
    for k, write in sorted(writes.items()):
        i = int(v.problem.source[k])
        if i not in last:
            before = v.extra.get(("computed", i))
            v.model.add(write.start >= before if before is not None else write.start >= v.start[i])
        else:
            v.model.add(write.start >= last[i])
        v.model.add(v.end[i] >= write.end)
        last[i] = write.end
