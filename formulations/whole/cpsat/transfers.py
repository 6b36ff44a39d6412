"""Tensors between copies: delays, and transfers that queue for channels.

Symbols: tensor k of copy i, read by copies j of the same task; c[k,a,b] ticks from a to b; p[k,b] = 1: k is needed on b
and not made there; m is the host.
"""

from __future__ import annotations

import math

from dnnplan.formulations.whole.cpsat.variables import BoolVar, Linear, Send, Variables


def move_tensors(v: Variables) -> None:
    """All constraints on tensors."""
    for k in range(len(v.view.tensors)):
        forbid_missing_routes(v, k)
        readers_wait_for_tensor(v, k)
        if v.queues or v.prices_sends:
            tensors_are_sent_once_a_device(v, k)
        if v.view.output[k] and v.view.host and v.view.source[k] >= 0:
            outputs_go_to_host(v, k)
    if v.queues or v.prices_sends:
        sends_serve_all_tasks_of_a_group(v)
    if v.queues:
        channels_serve_one_transfer_at_a_time(v)


def _sources(v: Variables, k: int) -> dict[int, BoolVar]:
    """{end: literal that the tensor is made there}; inputs are at the host, if there is one."""
    i = int(v.view.source[k])
    if i >= 0:
        return dict(v.x[i])
    return {v.view.m: v.model.new_constant(1)} if v.view.host else {}


def _ready(v: Variables, k: int) -> Linear:
    i = int(v.view.source[k])
    return v.end[i] if i >= 0 else int(v.view.tensor_release[k])


def _stays(v: Variables, k: int, a: int, b: int) -> bool:
    return a == b or v.view.is_free(k, a, b)


def forbid_missing_routes(v: Variables, k: int) -> None:
    """Not (x[i,a] and x[j,b]) where no route leads from a to b."""
    for a, at in _sources(v, k).items():
        for j in v.view.readers[k]:
            for b, reads in v.x[j].items():
                if a != b and math.isinf(v.view.move_seconds(k, a, b)):
                    v.model.add_bool_or([~at, ~reads])


def readers_wait_for_tensor(v: Variables, k: int) -> None:
    """s_j >= e_i;  s_j >= e_i + c[k,a,b] if x[i,a] and x[j,b].

    For each b the least c over a /= b needs only ``x[j,b] and not x[i,b]``. Where transfers queue this is redundant.
    """
    source = _sources(v, k)
    for j in v.view.readers[k]:
        if int(v.view.source[k]) >= 0:
            v.model.add(v.start[j] >= _ready(v, k))
        for b, reads in v.x[j].items():
            delays = {a: v.view.move_seconds(k, a, b) for a in source if not _stays(v, k, a, b)}
            finite = {a: int(c) for a, c in delays.items() if math.isfinite(c) and c > 0}
            if not finite:
                continue
            least = min(finite.values()) if len(finite) == len(delays) else 0
            near = [source[a] for a in source if a not in delays]
            if least > 0:
                v.model.add(v.start[j] >= _ready(v, k) + least).only_enforce_if(reads, *(~s for s in near))
            for a, c in finite.items():
                if c > least:
                    v.model.add(v.start[j] >= _ready(v, k) + c).only_enforce_if(reads, source[a])


def tensors_are_sent_once_a_device(v: Variables, k: int) -> None:
    """p[k,b] >= x[j,b] - x[i,b] for readers j;  S >= e_i;  E - S = c[k,a,b] if p[k,b] and x[i,a];  s_j >= E if x[j,b].

    Moments only where transfers queue for channels.
    """
    source = _sources(v, k)
    for b in sorted({d for j in v.view.readers[k] for d in v.x[j]}):
        far = {a: at for a, at in source.items() if not _stays(v, k, a, b)}
        far = {a: at for a, at in far.items() if math.isfinite(v.view.move_seconds(k, a, b))}
        if not far:
            continue
        send = _new_send(v, k, b)
        near = [source[a] for a in source if _stays(v, k, a, b)]
        for s in near:
            v.model.add_implication(send.needed, ~s)
        for j in v.view.readers[k]:
            if b in v.x[j]:
                v.model.add_bool_or([send.needed, ~v.x[j][b], *near])
                if v.queues:
                    v.model.add(v.start[j] >= send.end).only_enforce_if(v.x[j][b], send.needed)
        if v.queues:
            v.model.add(send.start >= _ready(v, k)).only_enforce_if(send.needed)
            for a, at in far.items():
                ticks = int(v.view.move_seconds(k, a, b))
                v.model.add(send.end - send.start == ticks).only_enforce_if(send.needed, at)


def _new_send(v: Variables, k: int, b: int) -> Send:
    send = Send(k, b, v.flag(f"p_{k}_{b}"))
    if v.queues:
        send.start, send.end = v.time(f"S_{k}_{b}"), v.time(f"E_{k}_{b}")
        v.model.add(send.end >= send.start)
    v.sends[k, b] = send
    return send


def outputs_go_to_host(v: Variables, k: int) -> None:
    """C >= e_i + c[k,a,m] if x[i,a]; where transfers queue, C >= E of a send to the host with S >= e_i."""
    i = int(v.view.source[k])
    send = _new_send(v, k, v.view.m) if v.queues or v.prices_sends else None
    own = v.own(i)
    if send is not None:
        # A copy that is not there sends nothing of its own.
        v.model.add(send.needed == (1 if own is None else own))
        if v.queues:
            v.model.add(send.start >= v.end[i]).only_enforce_if(send.needed)
            v.model.add(v.makespan >= send.end).only_enforce_if(send.needed)
    for a, at in v.x[i].items():
        ticks = v.view.move_seconds(k, a, v.view.m)
        if math.isinf(ticks):
            v.model.add(at == 0)
            continue
        v.model.add(v.makespan >= v.end[i] + int(ticks)).only_enforce_if(at)
        if send is not None and v.queues:
            v.model.add(send.end - send.start == int(ticks)).only_enforce_if(send.needed, at)


def sends_serve_all_tasks_of_a_group(v: Variables) -> None:
    """If copy e stands for c: p of the tensors of c implies p of those of e, and they arrive when those of e do.

    Without it readers of other tasks would get tensors of a shared block for nothing.
    """
    for c in range(v.view.n):
        for other, stands in v.stands_for(c):
            for k, twin in zip(v.view.outputs[c], v.view.outputs[other], strict=True):
                for b in range(v.view.m):
                    if (k, b) not in v.sends:
                        continue
                    send, served = v.sends[k, b], v.sends.get((twin, b))
                    if served is None:
                        v.model.add_implication(stands, ~send.needed)
                        continue
                    v.model.add_bool_or([~stands, ~send.needed, served.needed])
                    if v.queues:
                        v.model.add(send.end == served.end).only_enforce_if(stands, send.needed)


def channels_serve_one_transfer_at_a_time(v: Variables) -> None:
    """No overlap of the transfers on one channel: intervals [S, E), present if the copy is there and it goes so.

    Transfers of 0 ticks are not queued.
    """
    intervals: dict[int, list[object]] = {}
    for send in v.sends.values():
        i = int(v.view.source[send.tensor])
        own = v.own(i) if i >= 0 else None
        by_channel: dict[int, list[BoolVar]] = {}
        for a, at in _sources(v, send.tensor).items():
            channel = int(v.view.routes.channel[a, send.device])
            ticks = v.view.move_seconds(send.tensor, a, send.device)
            if a != send.device and channel >= 0 and 0 < ticks < math.inf:
                by_channel.setdefault(channel, []).append(at)
        for channel, senders in by_channel.items():
            uses = v.flag(f"uses_{send.tensor}_{send.device}_{channel}")
            v.model.add_implication(uses, send.needed)
            for at in senders:
                v.model.add_bool_or([uses, ~send.needed, ~at, *([] if own is None else [~own])])
            size = v.time("")
            intervals.setdefault(channel, []).append(
                v.model.new_optional_interval_var(send.start, size, send.end, uses, "")
            )
    for rows in intervals.values():
        v.model.add_no_overlap(rows)
