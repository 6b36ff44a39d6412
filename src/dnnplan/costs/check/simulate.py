"""The event simulation of a plan: calls and transfers start as soon as docs/cost-model.md lets them."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush

from dnnplan.costs.check.wiring import Rank, Wiring
from dnnplan.instances import Plan

COMPUTE = -1
WAITING = -1.0


class Run:
    """One simulated execution.

    Attributes
    ----------
    start, end
        Seconds of each call; -1 where it never happens (deadlock).
    transfer_start, transfer_end
        Seconds of each transfer, likewise.
    completion
        Seconds at which each job is complete.

    Notes
    -----
    At every moment: ends and starts until nothing changes, then every free channel serves one request.
    Transfers of 0 seconds are over when they are requested. Events are (moment, code): that of a compute
    end, a transfer's end, a call's earliest moment, a transfer's earliest moment, or a release.
    """

    def __init__(self, wiring: Wiring, plan: Plan) -> None:
        self.wiring = wiring
        setting = wiring.setting
        self.overlap = setting.execution.overlap
        self.contention = setting.execution.contention == "links"
        calls, transfers = len(wiring.seconds), len(wiring.transfers)
        self.start, self.end = [WAITING] * calls, [WAITING] * calls
        self.transfer_start, self.transfer_end = [WAITING] * transfers, [WAITING] * transfers
        self.requested = [False] * transfers
        self.completion = [job.release for job in setting.jobs]
        self.need = list(wiring.need)
        self.parts = [0] * calls
        self.at = [0] * calls
        self.chained = [False] * transfers
        self.steps: list[list[int]] = [] if self.overlap else self._steps()
        for steps in self.steps:
            for step in steps:
                if step != COMPUTE:
                    self.chained[step] = True
        self.heap: list[tuple[float, int]] = []
        self.now = 0.0
        slots = [device.spec.slots for device in setting.ends.devices]
        self.free = [calls + 1 if slot == "unlimited" else slot for slot in slots]
        self.head = [0] * len(slots)
        self.waking: list[int] = list(range(len(slots)))
        self.awake = [True] * len(slots)
        self._moments(plan)
        self._channels(plan)
        self._precedences()
        self._first_requests()
        self._simulate()

    # -- preparation ---------------------------------------------------------------------------------------

    def _steps(self) -> list[list[int]]:
        """What each call does, one after the other, without overlap: transfers by number, and COMPUTE."""
        wiring = self.wiring
        return [
            [*wiring.reads[call], *([load] if load >= 0 else []), COMPUTE, *wiring.writes[call]]
            for call, load in enumerate(wiring.load)
        ]

    def _moments(self, plan: Plan) -> None:
        wiring, setting = self.wiring, self.wiring.setting
        calls, transfers = len(self.start), len(self.requested)
        self.call_code, self.transfer_code = calls + transfers, 2 * calls + transfers
        self.job_code = 2 * (calls + transfers)
        not_before = plan.not_before
        self.earliest = [job.release for job in wiring.call_job]
        self.transfer_earliest: dict[int, float] = {}
        if not_before:
            for call, name in enumerate(wiring.decisions.names):
                self.earliest[call] = max(self.earliest[call], not_before.get(name, 0.0))
            numbers = wiring.transfer_numbers()
            self.transfer_earliest = {numbers[name]: t for name, t in not_before.items() if name in numbers}
        for call, moment in enumerate(self.earliest):
            if moment > 0:
                self.need[call] += 1
                self.heap.append((moment, self.call_code + call))
        for job in setting.jobs:
            if job.release > 0:
                self.heap.append((job.release, self.job_code + job.index))
        heapify(self.heap)

    def _channels(self, plan: Plan) -> None:
        """Queues of the channels; where the plan orders one, its transfers that take time, in that order."""
        wiring = self.wiring
        self.queues: list[list[tuple[float, Rank, int]]] = [[] for _ in wiring.channels]
        self.busy = [False] * len(wiring.channels)
        self.calling: list[int] = []
        self.stated: dict[int, list[int]] = {}
        self.served = [0] * len(wiring.channels)
        if self.contention and plan.transfer_order:
            numbers = wiring.transfer_numbers()
            for name, order in plan.transfer_order.items():
                if name in wiring.channels:
                    known = [numbers[identifier] for identifier in order if identifier in numbers]
                    self.stated[wiring.channels[name]] = [n for n in known if wiring.transfers[n].seconds > 0]

    def _precedences(self) -> None:
        """Count what is left of every task and job: calls, and transfers of outputs."""
        wiring, setting = self.wiring, self.wiring.setting
        task_of = {task.name: index for index, task in enumerate(setting.tasks)}
        self.left = [0] * len(setting.tasks)
        for job in wiring.call_job:
            self.left[job.task_index] += 1
        self.transfer_job: dict[int, int] = {}
        for number, transfer in enumerate(wiring.transfers):
            if transfer.output:
                job = wiring.flows[transfer.flow].job
                self.transfer_job[number] = job.index
                self.left[job.task_index] += 1
        self.followers: list[list[int]] = [[] for _ in setting.tasks]
        calls_of: list[list[int]] = [[] for _ in setting.tasks]
        if setting.instance.precedences:
            for call, job in enumerate(wiring.call_job):
                calls_of[job.task_index].append(call)
        for precedence in setting.instance.precedences:
            before, after = task_of[precedence.before], task_of[precedence.after]
            if self.left[before]:
                self.followers[before] += calls_of[after]
                for call in calls_of[after]:
                    self.need[call] += 1

    def _first_requests(self) -> None:
        for job in self.wiring.setting.jobs:
            if job.release <= 0:
                for transfer in self.wiring.requests_job[job.index]:
                    self._request(transfer)

    # -- the loop ------------------------------------------------------------------------------------------

    def _simulate(self) -> None:
        heap = self.heap
        self._start_calls()
        while True:
            while heap and heap[0][0] == self.now:
                while heap and heap[0][0] == self.now:
                    self._happen(heappop(heap)[1])
                self._start_calls()
            self._serve()
            if not heap:
                return
            self.now = heap[0][0]

    def _happen(self, code: int) -> None:
        calls = len(self.start)
        if code < calls:
            if self.overlap:
                self._part_done(code)
            else:
                self._advance(code)
        elif code < self.call_code:
            transfer = code - calls
            channel = self.wiring.transfers[transfer].channel
            if self.contention and channel >= 0:
                self.busy[channel] = False
                self.calling.append(channel)
            self._transfer_ended(transfer)
            self._continue(transfer)
        elif code < self.transfer_code:
            self._signal((code - self.call_code,))
        elif code < self.job_code:
            if self._request(code - self.transfer_code):
                self._continue(code - self.transfer_code)
        else:
            for transfer in self.wiring.requests_job[code - self.job_code]:
                self._request(transfer)

    def _start_calls(self) -> None:
        """Start every call that is next on its device, has all it waits for, and finds a free slot."""
        order, need = self.wiring.decisions.order, self.need
        while self.waking:
            device = self.waking.pop()
            self.awake[device] = False
            sequence = order[device]
            while self.head[device] < len(sequence) and self.free[device] > 0:
                call = sequence[self.head[device]]
                if need[call]:
                    break
                self.head[device] += 1
                self.free[device] -= 1
                self.start[call] = self.now
                if self.overlap:
                    self._start_parts(call)
                else:
                    self._advance(call)

    def _start_parts(self, call: int) -> None:
        """With overlap: compute, and load at the same time."""
        self.parts[call] = 1
        heappush(self.heap, (self.now + self.wiring.seconds[call], call))
        load = self.wiring.load[call]
        if load >= 0:
            self.parts[call] = 2
            self._request(load)

    def _part_done(self, call: int) -> None:
        self.parts[call] -= 1
        if not self.parts[call]:
            self._call_ended(call)

    def _advance(self, call: int) -> None:
        """Without overlap: the next steps of a running call, up to one that takes time."""
        steps, reads = self.steps[call], len(self.wiring.reads[call])
        while True:
            step = self.at[call]
            if step == reads:
                self._signal(self.wiring.after_reads[call])
            if step == len(steps):
                self._call_ended(call)
                return
            self.at[call] = step + 1
            if steps[step] == COMPUTE:
                heappush(self.heap, (self.now + self.wiring.seconds[call], call))
                return
            if not self._request(steps[step]):
                return

    def _continue(self, transfer: int) -> None:
        """The call that runs this transfer as one of its steps goes on."""
        if self.chained[transfer]:
            self._advance(self.wiring.transfers[transfer].call)

    def _call_ended(self, call: int) -> None:
        wiring = self.wiring
        self.end[call] = self.now
        device = wiring.decisions.call_device[call]
        self.free[device] += 1
        self._wake(device)
        self._signal(wiring.after_call[call])
        for transfer in wiring.requests_call[call]:
            self._request(transfer)
        self._job_progress(wiring.call_job[call].index)

    # -- transfers -----------------------------------------------------------------------------------------

    def _request(self, number: int) -> bool:
        """Request a transfer; True if it is over at once (0 seconds)."""
        if self.transfer_earliest and self.transfer_earliest.get(number, 0.0) > self.now:
            heappush(self.heap, (self.transfer_earliest[number], self.transfer_code + number))
            return False
        self.requested[number] = True
        transfer = self.wiring.transfers[number]
        if transfer.seconds == 0:
            self.transfer_start[number] = self.now
            self._transfer_ended(number)
            return True
        if self.contention and transfer.channel >= 0:
            heappush(self.queues[transfer.channel], (self.now, self.wiring.rank(transfer), number))
            self.calling.append(transfer.channel)
        else:
            self._begin(number)
        return False

    def _begin(self, number: int) -> None:
        self.transfer_start[number] = self.now
        moment = self.now + self.wiring.transfers[number].seconds
        heappush(self.heap, (moment, len(self.start) + number))

    def _serve(self) -> None:
        """Every free channel serves one request."""
        for channel in dict.fromkeys(self.calling):
            if self.busy[channel]:
                continue
            number = self._next(channel)
            if number >= 0:
                self.busy[channel] = True
                self._begin(number)
        self.calling.clear()

    def _next(self, channel: int) -> int:
        if channel in self.stated:
            order, place = self.stated[channel], self.served[channel]
            if place < len(order) and self.requested[order[place]]:
                self.served[channel] += 1
                return order[place]
            return -1
        return heappop(self.queues[channel])[2] if self.queues[channel] else -1

    def _transfer_ended(self, number: int) -> None:
        """Record the end of a transfer and set off what waits for it (the steps of its call excepted)."""
        wiring = self.wiring
        self.transfer_end[number] = self.now
        if number in self.transfer_job:
            self._job_progress(self.transfer_job[number])
        if self.overlap:
            call = wiring.transfers[number].call
            if number == wiring.load[call]:
                self._part_done(call)
            self._signal(wiring.after_transfer.get(number, ()))
            for other in wiring.requests_transfer.get(number, ()):
                self._request(other)

    # -- progress ------------------------------------------------------------------------------------------

    def _signal(self, calls: Iterable[int]) -> None:
        """One thing that each of `calls` waits for has happened."""
        need, device_of = self.need, self.wiring.decisions.call_device
        for call in calls:
            need[call] -= 1
            if not need[call]:
                self._wake(device_of[call])

    def _wake(self, device: int) -> None:
        if not self.awake[device]:
            self.awake[device] = True
            self.waking.append(device)

    def _job_progress(self, job: int) -> None:
        self.completion[job] = max(self.completion[job], self.now)
        task = self.wiring.setting.jobs[job].task_index
        self.left[task] -= 1
        if not self.left[task]:
            self._signal(self.followers[task])
