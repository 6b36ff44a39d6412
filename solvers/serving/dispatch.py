"""Plans made in the order of time: whenever a device is free, a rule says which batch it runs."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from dnnplan.costs.serving.offline import OfflineServing

Batch = tuple[int, tuple[int, ...]]
Rule = Callable[["Waiting", int, float], Batch | None]
"""From who waits, a device and the time to a batch of that device; None: the device waits for the next sample."""


class Waiting:
    """Samples that have come and wait for a stage.

    Parameters
    ----------
    at
        Samples at each stage, in the order in which they came there.
    """

    def __init__(self, problem: OfflineServing) -> None:
        self.problem = problem
        serving = problem.serving
        self.at: list[list[int]] = [[] for _ in serving.stages]
        self.stages_of: list[list[int]] = [[] for _ in serving.devices]
        for q, d in enumerate(serving.device.tolist()):
            self.stages_of[d].append(q)

    def take(self, stage: int, samples: tuple[int, ...]) -> None:
        """Samples begin to run a stage."""
        gone = set(samples)
        self.at[stage] = [j for j in self.at[stage] if j not in gone]


def dispatch(
    problem: OfflineServing, rule: Rule, stop: Callable[[], bool] = lambda: False
) -> list[Batch] | None:
    """The batches that a rule chooses, in the order of their starts; None if `stop` said so.

    O(batches x (stages + waiting samples)).
    """
    serving, waiting = problem.serving, Waiting(problem)
    latency, transfer, switch = serving.latency.tolist(), serving.transfer.tolist(), serving.switch.tolist()
    beyond = problem.beyond.tolist()
    # (time, kind, device or sample, stage, samples that come): ends of batches before arrivals.
    comes = [
        (time, 1, j, first, (j,))
        for j, (time, first) in enumerate(
            zip(problem.samples.arrival.tolist(), problem.first.tolist(), strict=True)
        )
    ]
    events: list[tuple[float, int, int, int, tuple[int, ...]]] = list(comes)
    heapq.heapify(events)
    free = [True] * len(serving.devices)
    ran: list[set[int]] = [set() for _ in serving.devices]
    found: list[Batch] = []
    while events:
        now = events[0][0]
        while events and events[0][0] <= now:
            _, kind, number, stage, samples = heapq.heappop(events)
            if kind == 0:
                free[number] = True
            waiting.at[stage].extend(samples)
        for d in range(len(free)):
            if not free[d] or not any(waiting.at[q] for q in waiting.stages_of[d]):
                continue
            if len(found) % 1000 == 999 and stop():
                return None
            chosen = rule(waiting, d, now)
            if chosen is None:
                continue
            q, members = chosen
            waiting.take(q, members)
            found.append(chosen)
            seconds = latency[q][len(members)] + switch[q] * len(set(members) - ran[d])
            end, ran[d], free[d] = now + seconds, set(members), False
            heapq.heappush(events, (end, 0, d, q, ()))
            on = tuple(j for j in members if q + 1 < beyond[j])
            if on:
                later = end + transfer[q][len(members)]
                heapq.heappush(events, (later, 1, on[0], q + 1, on))
    return found
