"""Sequential ordering problems of TSPLIB (``TYPE: SOP``): a full matrix of costs, in which -1 is a precedence.

Entry [i][j] is the cost of j right after i; -1 says that j comes before i. Node 0 is first and the last node last; the
entry from the first to the last stands for no step. Tasks are called by the number of their node, from 0.
The format has no units, and its numbers are kept.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dnnplan.instances.atomic import write_text
from dnnplan.instances.errors import UnsupportedError
from dnnplan.instances.formats.expressible import refuse_feature
from dnnplan.instances.formats.foreign import limit_cells, read_text, refuse, whole
from dnnplan.instances.instance import Instance
from dnnplan.instances.sections import Ordering
from dnnplan.instances.task import Precedence, Task

NAME = "tsplib"
MODEL = "node"
PRECEDES = -1
MOST_NODES = 2000


def detect(path: Path, head: bytes) -> bool:
    """Whether this is a file of TSPLIB, by its keywords."""
    return b"EDGE_WEIGHT_SECTION" in head or (b"DIMENSION" in head and b"TYPE" in head and head[:1] != b"{")


def read(path: Path) -> Instance:
    """Read a sequential ordering problem: an open order with precedences and given switching costs.

    Raises
    ------
    UnsupportedError
        Another type of problem, or a matrix that is not written in full.
    """
    text, source = read_text(path)
    header, _, body = text.partition("EDGE_WEIGHT_SECTION")
    keywords = _keywords(header)
    if keywords.get("TYPE", "").split()[:1] != ["SOP"]:
        raise UnsupportedError(
            f"{source}: TYPE {keywords.get('TYPE', '(none)')}, expected SOP (sequential ordering)"
        )
    if keywords.get("EDGE_WEIGHT_FORMAT", "FULL_MATRIX") != "FULL_MATRIX":
        raise UnsupportedError(
            f"{source}: EDGE_WEIGHT_FORMAT {keywords['EDGE_WEIGHT_FORMAT']}, expected FULL_MATRIX"
        )
    words = body.partition("EOF")[0].split()
    if not words:
        refuse("EDGE_WEIGHT_SECTION", "missing or empty, expected the dimension and a full matrix", source)
    n = whole(words[0], "EDGE_WEIGHT_SECTION, first number", source, least=2, most=MOST_NODES)
    stated = whole(keywords.get("DIMENSION", words[0]), "DIMENSION", source, least=2, most=MOST_NODES)
    if stated != n:
        refuse("EDGE_WEIGHT_SECTION, first number", f"{n}, expected the DIMENSION {stated}", source)
    limit_cells(n * n, "EDGE_WEIGHT_SECTION", source)
    if len(words) - 1 != n * n:
        refuse("EDGE_WEIGHT_SECTION", f"{len(words) - 1} entries, expected {n} x {n}", source)
    cost = [
        [whole(words[1 + i * n + j], f"row {i}, column {j}", source, least=PRECEDES) for j in range(n)]
        for i in range(n)
    ]
    return _instance(keywords.get("NAME", path.stem).removesuffix(".sop"), cost, source)


def _keywords(header: str) -> dict[str, str]:
    lines = (line.partition(":") for line in header.splitlines())
    return {key.strip(): value.strip() for key, colon, value in lines if colon}


def _instance(name: str, cost: list[list[int]], source: str) -> Instance:
    n = len(cost)
    before = np.array(cost) == PRECEDES
    np.fill_diagonal(before, False)
    if (cycle := np.argwhere(_closure(before) & np.eye(n, dtype=bool))).size:
        refuse(
            f"row {cycle[0][0]}",
            f"node {cycle[0][0]} would come before itself, expected precedences without cycle",
            source,
        )
    allowed = ~before
    allowed[0, n - 1] = n == 2  # the first node is not followed by the last
    switch = tuple(
        tuple(cost[i][j] if i != j and allowed[i, j] else (0 if i == j else None) for j in range(n))
        for i in range(n)
    )
    pairs = {(int(j), int(i)) for i, j in np.argwhere(before)}
    pairs |= {(0, i) for i in range(1, n)} | {(i, n - 1) for i in range(n - 1)}
    return Instance(
        name=name,
        source=source,
        objective="switching",
        tasks=tuple(Task(name=str(i), model=MODEL) for i in range(n)),
        precedences=tuple(Precedence(before=str(a), after=str(b)) for a, b in sorted(pairs)),
        ordering=Ordering(switch=switch),
    )


def _closure(before: np.ndarray) -> np.ndarray:
    reach = before.copy()
    for k in range(len(reach)):
        reach |= reach[:, k : k + 1] & reach[k : k + 1, :]
    return reach


def write(instance: Instance, path: Path, *, overwrite: bool = False) -> None:
    """Write an open order with whole switching costs, whose first and last task are the same in every order.

    Raises
    ------
    UnsupportedError
        Names what the format cannot express.
    """
    ordering, tasks = instance.ordering, [task.name for task in instance.effective_tasks()]
    if ordering is None or not ordering.switch:
        refuse_feature(NAME, "an instance without ordering.switch")
    if ordering.closed or ordering.conditions or ordering.resources:
        refuse_feature(NAME, "closed orders, conditions and tools")
    n, index = len(tasks), {name: i for i, name in enumerate(tasks)}
    before = np.zeros((n, n), dtype=bool)
    for precedence in instance.precedences:
        before[index[precedence.after], index[precedence.before]] = True
    reach = _closure(before)
    if not (reach[1:, 0].all() and reach[-1, :-1].all()):
        refuse_feature(NAME, "orders whose first and last task are not fixed by precedences")
    rows = []
    for i in range(n):
        row = []
        for j, value in enumerate(ordering.switch[i]):
            if i != j and reach[i, j]:
                row.append(PRECEDES)
            elif (i, j) == (0, n - 1) and n > 2:
                row.append(1_000_000)
            elif value is None or value < 0 or value != int(value):
                refuse_feature(NAME, f"the step from {tasks[i]} to {tasks[j]} at cost {value}")
            else:
                row.append(int(value))
        rows.append(" ".join(map(str, row)))
    head = [f"NAME: {instance.name}", "TYPE: SOP", f"DIMENSION: {n}", "EDGE_WEIGHT_TYPE: EXPLICIT"]
    lines = [*head, "EDGE_WEIGHT_FORMAT: FULL_MATRIX", "EDGE_WEIGHT_SECTION", str(n), *rows, "EOF"]
    write_text("\n".join(lines) + "\n", path, overwrite=overwrite)
