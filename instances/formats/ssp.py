"""Job sequencing and tool switching: J jobs, T tools, a magazine of C slots, and which job needs which tool.

The first line has J, T and C; then follow T rows of J zeros and ones. The first C tools are loaded free of charge, so
the start is warm. Tasks are called by the number of their job, from 1. What is minimised is how many tools are loaded.
"""

from __future__ import annotations

import re
from pathlib import Path

from dnnplan.instances.formats.foreign import limit_cells, read_text, refuse, whole
from dnnplan.instances.instance import Instance
from dnnplan.instances.sections import Ordering
from dnnplan.instances.task import Task

MODEL = "job"
MOST = 100_000
"""Most jobs, tools or slots; their product has a limit of its own."""
_HEAD = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*([0-9]{1,9})[ \t]+[0-9]{1,9}[ \t]+[0-9]{1,9}[ \t]*\r?\n"
    rb"\s*([01](?:[ \t]+[01])*)[ \t]*(?:\r?\n|$)"
)


def detect(path: Path, head: bytes) -> bool:
    """Whether this begins with three numbers, and a row of as many zeros and ones as there are jobs."""
    match = _HEAD.match(head)
    return match is not None and len(match[2].split()) == int(match[1])


def read(path: Path) -> Instance:
    """Read a tool switching problem: an open order, tools as `ordering.resources`."""
    text, source = read_text(path)
    words = text.split()
    if len(words) < 3:
        refuse("line 1", f"{len(words)} numbers, expected jobs, tools and slots", source)
    jobs, tools, slots = (whole(word, "line 1", source, least=1, most=MOST) for word in words[:3])
    limit_cells(jobs * tools, "line 1", source)
    cells = words[3:]
    if len(cells) != jobs * tools:
        refuse("matrix", f"{len(cells)} entries, expected {tools} tools x {jobs} jobs", source)
    needs = [
        tuple(whole(cells[t * jobs + j], f"tool {t + 1}, job {j + 1}", source, most=1) for t in range(tools))
        for j in range(jobs)
    ]
    for j, row in enumerate(needs):
        if sum(row) > slots:
            refuse(f"job {j + 1}", f"needs {sum(row)} tools, expected at most the {slots} slots", source)
    return Instance(
        name=path.stem,
        source=path.name,
        objective="switching",
        tasks=tuple(Task(name=str(j + 1), model=MODEL) for j in range(jobs)),
        ordering=Ordering(start="warm", resources=tuple(needs), slots=slots),
    )
