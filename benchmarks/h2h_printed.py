"""What the public code of H2H prints for its suite, and how much of it the cost model and the steps reproduce.

Output of the mapper H2H in github.com/dkgzc/MARCH on all layers that it defines, as chains, twelve accelerators, half
of each memory for weights.
"""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.case import Measured
from dnnplan.instances.h2h import MODELS, h2h_instance
from dnnplan.instances.h2h.models import Modal

SECONDS, JOULES = 0.51e-6, 0.51e-4
"""Half a unit of the last printed digit."""


class Printed(NamedTuple):
    """Latency after steps 1 to 4 in seconds (None: the run was stopped), energy after steps 1 and 2 in joules."""

    model: str
    bandwidth: str
    seconds: tuple[float, float, float]
    remapped: float | None
    joules: tuple[float, float]


PRINTED = (
    Printed("vlocnet", "0.125", (14.86382, 12.223139, 11.173813), 7.934737, (147.6275, 147.0516)),
    Printed("vlocnet", "0.25", (8.35583, 7.035489, 6.500965), 5.02112, (147.6275, 147.0516)),
    Printed("vlocnet", "0.5", (5.101835, 4.441664, 4.164541), 3.44279, (147.6275, 147.0516)),
    Printed("vlocnet", "1.25", (3.149438, 2.885369, 2.762687), None, (147.6275, 147.0516)),
    Printed("casia-surf", "0.125", (1.1406, 0.766597, 0.642933), 0.41973, (6.9255, 6.8858)),
    Printed("casia-surf", "0.25", (0.627655, 0.440653, 0.378405), 0.236345, (6.9255, 6.8858)),
    Printed("casia-surf", "0.5", (0.371183, 0.277682, 0.246141), 0.172182, (6.9255, 6.8858)),
    Printed("casia-surf", "1.25", (0.217299, 0.179899, 0.166783), 0.136979, (6.9255, 6.8858)),
    Printed("facebag", "0.125", (0.9154, 0.205226, 0.184006), 0.121264, (3.018, 2.9438)),
    Printed("facebag", "0.25", (0.507962, 0.152875, 0.142116), 0.124996, (3.018, 2.9438)),
    Printed("facebag", "0.5", (0.304243, 0.126699, 0.121171), 0.114352, (3.018, 2.9438)),
    Printed("facebag", "1.25", (0.182012, 0.110994, 0.108604), 0.104366, (3.018, 2.9438)),
    Printed("cnn-lstm", "0.125", (0.678227, 0.34287, 0.082823), 0.081179, (2.503, 2.4495)),
    Printed("cnn-lstm", "0.25", (0.375176, 0.207497, 0.077474), 0.076944, (2.503, 2.4495)),
    Printed("cnn-lstm", "0.5", (0.22365, 0.139811, 0.074799), 0.074799, (2.503, 2.4495)),
    Printed("cnn-lstm", "1.25", (0.132735, 0.099199, 0.073194), 0.073194, (2.503, 2.4495)),
    Printed("mocap", "0.125", (12.391475, 11.529408, 5.466542), 1.877962, (55.1359, 55.0429)),
    Printed("mocap", "0.25", (6.77425, 6.343217, 3.311784), 1.585737, (55.1359, 55.0429)),
    Printed("mocap", "0.5", (3.99653, 3.778801, 2.40438), 1.319749, (57.0426, 56.9495)),
    Printed("mocap", "1.25", (2.326808, 2.239716, 1.587187), 1.309152, (58.9498, 58.8568)),
)
"""The printed rows but that of VFS, whose model is not that of the layer tables."""
PRINTED_VFS = Printed("vfs", "0.25", (4.578387, 2.459455, 1.939612), 1.928255, (47.0013, 46.2126))


def vfs_as_printed() -> Modal:
    """VFS as the public code runs it: the last layer of stream 2 is called M1L14, and takes the place of that."""
    image, text, *rest = MODELS["vfs"].streams
    streams = (image[:13] + text[8:] + image[14:], text[:8], *rest)
    return Modal("VFS with a layer of another name", streams, (("M2L8", "M1L14"),))


def measure(name: str) -> Measured:
    """How many of the printed rows steps 1 to 3 reproduce to the last digit, latency and energy."""
    from dnnplan.costs import evaluate, mapping_problem
    from dnnplan.solvers.h2h.complete import H2HSettings, settle, step_compute

    found = 0
    rows = (*PRINTED, PRINTED_VFS)
    for row in rows:
        model = vfs_as_printed() if row is PRINTED_VFS else row.model
        instance = h2h_instance(model, float(row.bandwidth), cross=row is PRINTED_VFS)
        problem = mapping_problem(instance)
        place, order = step_compute(problem)
        settings = H2HSettings(knapsack="published")
        costs = [evaluate(problem, settle(problem, place, order, s, settings)).cost for s in (1, 2, 3)]
        latency = all(abs(c.latency - t) <= SECONDS for c, t in zip(costs, row.seconds, strict=True))
        energy = all(abs(c.energy - e) <= JOULES for c, e in zip(costs[:2], row.joules, strict=True))
        found += latency and energy
    return Measured(
        float(found),
        "rows",
        float(len(rows)),
        found == len(rows),
        "printed rows of steps 1-3, to the last digit",
    )
