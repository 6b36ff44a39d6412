"""Rules `deadlock` and `transfer_order`: plans that never end, and orders of channels that do not fit."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from dnnplan.costs.check.rules import Findings
from dnnplan.costs.check.simulate import WAITING, Run
from dnnplan.costs.check.wiring import Wiring
from dnnplan.instances import Plan


def check_names(wiring: Wiring, plan: Plan, found: Findings) -> None:
    """Rule `unknown`: what not_before names is a call or a transfer of this plan."""
    if plan.not_before:
        calls, transfers = set(wiring.decisions.names), wiring.transfer_numbers()
        for name in plan.not_before:
            if name not in calls and name not in transfers:
                found.report(
                    "unknown", name, f"not_before names {name!r}, which is no call or transfer of this plan"
                )


def check_transfer_order(wiring: Wiring, plan: Plan, found: Findings) -> None:
    """Rule `transfer_order`: a stated order holds exactly the transfers that take time on that channel."""
    if not plan.transfer_order:
        return
    numbers = wiring.transfer_numbers()
    platform = wiring.setting.instance.platform
    links = {link.name for link in platform.links} if platform is not None else set()
    channel_names = {number: name for name, number in wiring.channels.items()}
    for channel, order in plan.transfer_order.items():
        if channel not in links:
            found.report(
                "unknown", channel, f"transfer_order names unknown link {channel!r}; known: {sorted(links)}"
            )
            continue
        listed: set[str] = set()
        for name in order:
            number = numbers.get(name)
            if number is None:
                found.report(
                    "unknown", name, f"transfer_order of {channel} names {name!r}, no transfer of this plan"
                )
            elif name in listed:
                found.report("transfer_order", name, f"transfer_order of {channel} lists {name!r} twice")
            elif channel_names.get(wiring.transfers[number].channel) != channel:
                used = channel_names.get(wiring.transfers[number].channel, "no link")
                found.report(
                    "transfer_order", name, f"transfer {name!r} is listed on {channel}, but uses {used}"
                )
            listed.add(name)
        for name, number in numbers.items():
            transfer = wiring.transfers[number]
            if name not in listed and transfer.seconds > 0 and channel_names.get(transfer.channel) == channel:
                found.report("transfer_order", name, f"transfer_order of {channel} leaves out {name!r}")


def check_deadlock(run: Run, plan: Plan, found: Findings) -> None:
    """Rule `deadlock`: name a cycle of calls and transfers that wait for each other, if some never end."""
    stuck = [call for call, end in enumerate(run.end) if end == WAITING]
    lost = [number for number, end in enumerate(run.transfer_end) if end == WAITING]
    if not stuck and not lost:
        return
    waits = waiting_for(run)
    cycle = find_cycle(waits, stuck[0] if stuck else len(run.end) + lost[0])
    calls = len(run.end)
    names = run.wiring.decisions.names
    chain = [names[node] if node < calls else run.wiring.transfer_name(node - calls) for node in cycle]
    found.report(
        "deadlock",
        chain[0],
        f"{len(stuck)} calls never end: {' waits for '.join([*chain, chain[0]])}",
        float(len(stuck)),
        "calls",
    )


def waiting_for(run: Run) -> dict[int, list[int]]:
    """What each unfinished call (and transfer, numbered after the calls) waits for."""
    calls = len(run.end)
    done = [end != WAITING for end in run.end] + [end != WAITING for end in run.transfer_end]
    waits: dict[int, list[int]] = {node: [] for node, ended in enumerate(done) if not ended}
    for waiting, awaited in all_waits(run, calls):
        if waiting in waits and awaited in waits and not (waiting < calls and run.start[waiting] != WAITING):
            waits[waiting].append(awaited)
    for call in range(calls):
        if call in waits and run.start[call] != WAITING:  # it runs, and waits for one of its own transfers
            own = [calls + transfer for transfer in own_transfers(run, call)]
            waits[call] += [node for node in own if node in waits]
    return waits


def all_waits(run: Run, calls: int) -> Iterator[tuple[int, int]]:
    """Pairs (who waits, for whom) of a plan; transfers are numbered after the calls."""
    wiring = run.wiring
    for call in range(calls):
        for other in (*wiring.after_call[call], *wiring.after_reads[call]):
            yield other, call
        for transfer in wiring.requests_call[call]:
            yield calls + transfer, call
        if run.start[call] == WAITING:
            for transfer in own_transfers(run, call):
                yield calls + transfer, call
    for transfer, others in wiring.after_transfer.items():
        yield from ((other, calls + transfer) for other in others)
    for transfer, requested in wiring.requests_transfer.items():
        yield from ((calls + other, calls + transfer) for other in requested)
    for sequence in run.stated.values():
        yield from ((calls + after, calls + before) for before, after in pairwise(sequence))
    yield from device_waits(run)
    yield from task_waits(run, calls)


def own_transfers(run: Run, call: int) -> list[int]:
    """The transfers that a call requests while it runs."""
    load = [run.wiring.load[call]] if run.wiring.load[call] >= 0 else []
    return load if run.overlap else [*run.wiring.reads[call], *load, *run.wiring.writes[call]]


def device_waits(run: Run) -> Iterator[tuple[int, int]]:
    """Calls wait for the call before them in the order of their device."""
    for device, sequence in enumerate(run.wiring.decisions.order):
        for before, after in pairwise(sequence):
            if run.start[before] == WAITING or not run.free[device]:
                yield after, before


def task_waits(run: Run, calls: int) -> Iterator[tuple[int, int]]:
    """Calls wait for what is left of the tasks that precede theirs (one call stands for all)."""
    wiring = run.wiring
    for task, followers in enumerate(run.followers):
        members = (
            c for c, job in enumerate(wiring.call_job) if job.task_index == task and run.end[c] == WAITING
        )
        left = [
            *list(members)[:1],
            *(calls + n for n in outputs_of(run, task) if run.transfer_end[n] == WAITING),
        ]
        yield from ((follower, node) for follower in followers for node in left)


def outputs_of(run: Run, task: int) -> list[int]:
    """The transfers that bring the outputs of a task to the host."""
    return [
        number for number, job in run.transfer_job.items() if run.wiring.setting.jobs[job].task_index == task
    ]


def find_cycle(waits: dict[int, list[int]], start: int) -> list[int]:
    """Follow what each node waits for until one comes up again; the nodes from there on."""
    path: list[int] = []
    place: dict[int, int] = {}
    finished: set[int] = set()
    stack = [(start, iter(waits[start]))]
    place[start] = 0
    path.append(start)
    while stack:
        node, rest = stack[-1]
        following = next((other for other in rest if other not in finished), None)
        if following is None:
            stack.pop()
            path.pop()
            del place[node]
            finished.add(node)
        elif following in place:
            return path[place[following] :]
        else:
            place[following] = len(path)
            path.append(following)
            stack.append((following, iter(waits[following])))
    return [start]
