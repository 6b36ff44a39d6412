"""Sequential ordering problems of TSPLIB (``TYPE: SOP``): a full matrix of costs, in which -1 is a precedence.

Entry [i][j] is the cost of j right after i; -1 says that j comes before i. Node 0 is first and the last node last; the
entry from the first to the last stands for no step. Tasks are called by the number of their node, from 0.
The format has no units, and its numbers are kept. Precedences that follow from others are left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from dnnplan.instances.atomic import write_text
from dnnplan.instances.errors import UnsupportedError
from dnnplan.instances.formats.expressible import refuse_feature
from dnnplan.instances.formats.foreign import limit_cells, read_text, refuse, whole
from dnnplan.instances.instance import Instance
from dnnplan.instances.sections import Limits, Ordering
from dnnplan.instances.task import Precedence, Task
from dnnplan.instances.wording import show

NAME = "tsplib"
SECTION = "EDGE_WEIGHT_SECTION"
MODEL = "node"
PRECEDES = -1
NO_STEP = 1_000_000
"""What published files write from the first node to the last."""
MOST_NODES = 2000
MOST_COST = 10**15
_KEYWORD = re.compile(rb"^[ \t]*(?:TYPE|DIMENSION|EDGE_WEIGHT_TYPE)[ \t]*:", re.MULTILINE)


def detect(path: Path, head: bytes) -> bool:
    """Whether this is a file of TSPLIB, by its keywords, or is called ``.sop``."""
    return path.suffix.lower() == ".sop" or (b"\0" not in head and len(_KEYWORD.findall(head)) >= 2)


# -- reading --


def read(path: Path) -> Instance:
    """Read a sequential ordering problem: an open order with precedences and given switching costs.

    Raises
    ------
    UnsupportedError
        Another type of problem, or a matrix that is not written in full.
    """
    text, source = read_text(path)
    header, _, body = text.partition(SECTION)
    keywords = _keywords(header)
    _require_sop(keywords, source)
    words = body.partition("EOF")[0].split()
    if not words:
        refuse(SECTION, "missing or empty, expected the dimension and a full matrix", source)
    n = whole(words[0], f"{SECTION}, first number", source, least=2, most=MOST_NODES)
    stated = whole(keywords.get("DIMENSION", words[0]), "DIMENSION", source, least=2, most=MOST_NODES)
    if stated != n:
        refuse(f"{SECTION}, first number", f"{n}, expected the DIMENSION {stated}", source)
    limit_cells(n * n, SECTION, source)
    if len(words) - 1 != n * n:
        refuse(SECTION, f"{len(words) - 1} entries, expected {n} x {n}", source)
    cost = [
        [
            whole(words[1 + i * n + j], f"row {i}, column {j}", source, least=PRECEDES, most=MOST_COST)
            for j in range(n)
        ]
        for i in range(n)
    ]
    name = keywords.get("NAME", path.stem).removesuffix(".sop")
    return _instance(name, cost, path, source)


def _keywords(header: str) -> dict[str, str]:
    lines = (line.partition(":") for line in header.splitlines())
    return {key.strip(): value.strip() for key, colon, value in lines if colon}


def _require_sop(keywords: dict[str, str], source: str) -> None:
    if "TYPE" not in keywords:
        refuse("TYPE", "missing, expected SOP (sequential ordering)", source)
    for keyword, wanted in (
        ("TYPE", "SOP"),
        ("EDGE_WEIGHT_TYPE", "EXPLICIT"),
        ("EDGE_WEIGHT_FORMAT", "FULL_MATRIX"),
    ):
        found = keywords.get(keyword, wanted)
        if found.split()[:1] != [wanted]:
            raise UnsupportedError(
                f"{source}: {keyword} {found[:40]}, expected {wanted}: only problems of TYPE SOP are read"
            )


def _instance(name: str, cost: list[list[int]], path: Path, source: str) -> Instance:
    n = len(cost)
    direct = [{j for j in range(n) if cost[i][j] == PRECEDES and j != i} for i in range(n)]
    for i in range(1, n):
        direct[i].add(0)
        direct[n - 1].add(i - 1)
    try:
        needed = _reduced(direct)
    except CycleError as error:
        cycle = " before ".join(str(node) for node in error.args[1][:8])
        refuse(SECTION, f"node {cycle}, expected precedences without cycle", source)
    return Instance(
        name=name,
        source=path.name,
        objective="switching",
        tasks=tuple(Task(name=str(i), model=MODEL) for i in range(n)),
        precedences=tuple(Precedence(before=str(j), after=str(i)) for i in range(n) for j in needed[i]),
        ordering=Ordering(switch=tuple(tuple(_step(cost, i, j) for j in range(n)) for i in range(n))),
    )


def _step(cost: list[list[int]], i: int, j: int) -> int | None:
    """Cost of node j right after node i; None where that is no step."""
    last = len(cost) - 1
    if i == j:
        return 0
    return None if cost[i][j] == PRECEDES or (i == 0 and j == last > 1) else cost[i][j]


def _ancestors(direct: Sequence[set[int]]) -> list[int]:
    """Everything that comes before each node, directly or through others, as bit masks.

    Raises
    ------
    CycleError
        Nodes that come before themselves.
    """
    before = [0] * len(direct)
    for node in TopologicalSorter(dict(enumerate(direct))).static_order():
        for other in direct[node]:
            before[node] |= before[other] | 1 << other
    return before


def _reduced(direct: Sequence[set[int]]) -> list[list[int]]:
    """The predecessors of each node that do not follow from others (transitive reduction); one mask a precedence."""
    before = _ancestors(direct)
    kept = []
    for predecessors in direct:
        implied = 0
        for other in predecessors:
            implied |= before[other]
        kept.append([other for other in sorted(predecessors) if not implied >> other & 1])
    return kept


# -- writing --


def write(instance: Instance, path: Path, *, overwrite: bool = False) -> None:
    """Write an open order with whole switching costs, whose first and last task are the same in every order.

    Tasks have numbers in this format: their names are lost.

    Raises
    ------
    UnsupportedError
        Names what the format cannot express.
    """
    switch = _require_given_order(instance)
    names = [task.name for task in instance.effective_tasks()]
    n, index = len(names), {name: i for i, name in enumerate(names)}
    direct: list[set[int]] = [set() for _ in names]
    for precedence in instance.precedences:
        direct[index[precedence.after]].add(index[precedence.before])
    before = _ancestors(direct)
    everything = (1 << n) - 1
    if n < 2 or not all(mask & 1 for mask in before[1:]) or before[-1] | 1 << (n - 1) != everything:
        refuse_feature(NAME, "orders whose first and last task are not fixed by precedences")
    rows = []
    for i in range(n):
        row = [_entry(switch[i][j], i, j, n, before) for j in range(n)]
        if None in row:
            j = row.index(None)
            refuse_feature(
                NAME, f"the step from {show(names[i])} to {show(names[j])} at cost {show(switch[i][j])}"
            )
        rows.append(" ".join(map(str, row)))
    lines = [
        f"NAME: {' '.join(instance.name.split())}",
        "TYPE: SOP",
        f"DIMENSION: {n}",
        "EDGE_WEIGHT_TYPE: EXPLICIT",
    ]
    lines += ["EDGE_WEIGHT_FORMAT: FULL_MATRIX", SECTION, str(n), *rows, "EOF"]
    write_text("\n".join(lines) + "\n", path, overwrite=overwrite)


def _require_given_order(instance: Instance) -> tuple[tuple[int | float | None, ...], ...]:
    """The switching costs of an instance that has nothing else which changes what an order costs."""
    ordering = instance.ordering
    if ordering is None or not ordering.switch:
        refuse_feature(NAME, "an instance without ordering.switch")
    if instance.objective not in ("switching", "expected"):
        refuse_feature(NAME, f"the objective {instance.objective}, only switching")
    if instance.limits != Limits():
        refuse_feature(NAME, "limits")
    for feature, given in (
        ("a closed order", ordering.closed),
        ("conditions", ordering.conditions),
        ("tools (ordering.resources)", ordering.resources),
    ):
        if given:
            refuse_feature(NAME, feature)
    return ordering.switch


def _entry(value: int | float | None, i: int, j: int, n: int, before: Sequence[int]) -> int | None:
    """What the matrix says of the step from i to j; None if it cannot say that."""
    if i == j:
        return 0
    if before[i] >> j & 1:
        return PRECEDES
    if (i, j) == (0, n - 1) and n > 2:
        return NO_STEP
    if value is None or not 0 <= value <= MOST_COST or value != int(value):
        return None
    return int(value)
