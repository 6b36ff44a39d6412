"""Affinity tensors: for each name a list [branch point][task][task], or one such list alone.

At every branch point tasks may part into groups. There are no blocks in the format, so every block counts one: the
size of a task graph is its number of copies. Select a tensor by its name; the option `points` takes some of the branch
points, ``points=0,1,4``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from dnnplan.instances.errors import InputError
from dnnplan.instances.files import read_bytes
from dnnplan.instances.formats.foreign import limit_cells, refuse
from dnnplan.instances.formats.parts import choose, converted
from dnnplan.instances.instance import Instance
from dnnplan.instances.json_text import parse_json
from dnnplan.instances.sections import Sharing
from dnnplan.instances.task import Task
from dnnplan.instances.wording import show

MODEL = "network"
_DETECT = re.compile(rb'(?:\xef\xbb\xbf)?\s*(?:\{\s*"[^"]{1,200}"\s*:\s*)?\[\s*\[\s*\[\s*-?[0-9.eE+-]')
_POINT = re.compile(r"[0-9]{1,6}")


def detect(path: Path, head: bytes) -> bool:
    """Whether this begins with numbers in three brackets, perhaps behind a name."""
    return _DETECT.match(head) is not None


def read(path: Path, select: str | None = None, points: str | None = None) -> Instance:
    """Read one tensor; the objective is least variety.

    Parameters
    ----------
    select
        Name of the tensor; needed where there are several.
    points
        Branch points to use, as rising numbers from 0 with commas between; all by default.
    """
    data, _, source = read_bytes(path)
    tree: Any = parse_json(data, source)
    if not isinstance(tree, dict | list):
        refuse("", f"{show(tree)}, expected tensors by name, or one tensor", source)
    tensors = tree if isinstance(tree, dict) else {path.stem: tree}
    name = choose({key: [key] for key in tensors}, select, source, "tensor")
    tensor = converted(tensors[name], list[list[list[float]]], name, source)
    n = len(tensor[0]) if tensor else 0
    if not n:
        refuse(name, "empty, expected [branch point][task][task]", source)
    limit_cells(len(tensor) * n * n, name, source)
    chosen = range(len(tensor)) if points is None else _points(points, len(tensor))
    return Instance(
        name=name,
        source=path.name,
        objective="variety",
        tasks=tuple(Task(name=str(t), model=MODEL) for t in range(n)),
        sharing=Sharing(
            branch_points=tuple(f"point {d}" for d in chosen),
            affinity=tuple(tuple(tuple(row) for row in tensor[d]) for d in chosen),
        ),
    )


def _points(text: str, count: int) -> list[int]:
    words = [word.strip() for word in text.split(",")]
    found = [int(word) for word in words if _POINT.fullmatch(word) and int(word) < count]
    if len(found) != len(words) or sorted(set(found)) != found:
        raise InputError(
            f"option points={text[:60]}: expected rising numbers from 0 to {count - 1}, e.g. 0,1"
        )
    return found
