"""Edge lists: a line `from to bytes` for each tensor.

Layers have no work of their own in it, so that they cost what the platform's overheads say.
"""

from __future__ import annotations

from pathlib import Path

from dnnplan.instances import FormatError, Instance, Layer, Model, Problem, Tensor, UnsupportedError
from dnnplan.instances.atomic import write_text
from dnnplan.instances.files import read_bytes


def detect(path: Path, head: bytes) -> bool:
    """Whether this is an edge list, by its name."""
    return path.suffix == ".edges"


def read(path: Path) -> Instance:
    """Read an edge list; what is wrong with it is said line by line."""
    data, _, name = read_bytes(path)
    layers: dict[str, None] = {}
    tensors, problems = [], []
    for number, line in enumerate(data.decode(errors="replace").splitlines(), start=1):
        words = line.split()
        if len(words) != 3 or not words[2].isdecimal():
            problems.append(Problem(f"line {number}", f'"{line[:40]}", expected from, to and bytes'))
            continue
        layers |= dict.fromkeys(words[:2])
        tensors.append(Tensor(name=f"t{number}", source=words[0], targets=(words[1],), bytes=int(words[2])))
    if problems:
        raise FormatError(problems=problems, source=name)
    model = Model(name=path.stem, layers=tuple(Layer(name=n, op="") for n in layers), tensors=tuple(tensors))
    return Instance(name=path.stem, models=(model,))


def write(instance: Instance, path: Path, *, overwrite: bool = False) -> None:
    """Write the tensors of a network; what else an instance has has no place in an edge list."""
    if len(instance.models) != 1:
        raise UnsupportedError(f"edge lists hold one network, the instance has {len(instance.models)}")
    lines = [
        f"{tensor.source} {target} {int(tensor.bytes)}\n"
        for tensor in instance.models[0].tensors
        for target in tensor.targets
    ]
    write_text("".join(lines), path, overwrite=overwrite)
