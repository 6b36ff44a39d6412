"""What the suite of latency models is to reach."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.requirements.verdict import Verdict, measured
from dnnplan.reports.runs import Row

ASKED = {
    "scale-sim": "systolic arrays: cycles equal SCALE-Sim on all 202 layers that it ran",
    "kernel-rule": "kernel rule of TensorFlow Lite on GPUs: the recorded kernel of every convolution",
    "phone": "networks on a phone's GPU, mean error end to end",
    "cpu-settings": "CPU settings of three phones: median of mean errors at most 4 %, worst at most 8 %",
    "gpu": "operators on GPUs of a data center, shapes held out: mean error at most 8 %",
    "active": "operators to measure next: mean error below that of a random choice",
    "speed": "at least 200,000 operators/s in a batch, and a network in at most 1 ms",
    "this-machine": "this machine, trained on sampled operators: mean error end to end of 12 networks",
    "modules": "modules over batch, threads and load: the selection never worse than the best single regressor",
}


def judge(rows: Sequence[Row]) -> list[Verdict]:
    """A verdict for each measurement."""
    return measured(rows, _asked)


def _asked(measurement: str) -> str:
    kind, _, rest = measurement.partition(":")
    where = {"phone": "{}, networks trained on", "this-machine": "threads: {}"}.get(kind, "{}")
    return f"{ASKED[kind]} ({where.format(rest)})" if rest else ASKED[kind]
