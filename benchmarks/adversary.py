"""The instances of the suite `adversarial`: for each pair of solvers the one on which the first is worst.

`python -m benchmarks.adversary` searches for all of them and writes benchmarks/adversarial/*.json; for a single pair
there is `dnnplan adversarial`.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import permutations
from pathlib import Path

from dnnplan.instances.files import dumps
from dnnplan.solvers.adversarial import find_adversarial

FOLDER = Path(__file__).parent / "adversarial"
RULES = ("heft", "peft", "cpop", "minmin", "etf", "lookahead")
"""Solvers that are held against each other; each is also held against CP-SAT with a unit of work."""
STARTS = 3


def main() -> int:
    """Search, print, and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.adversary", description=__doc__)
    parser.add_argument("--tasks", type=int, default=6)
    parser.add_argument("--devices", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    for solver, against in (*permutations(RULES, 2), *((rule, "cpsat") for rule in RULES)):
        # A proof takes some hundred times as long as a rule.
        steps = asked.steps if against != "cpsat" else max(1, asked.steps // 20)
        found = find_adversarial(
            solver, against, tasks=asked.tasks, devices=asked.devices, steps=steps, starts=STARTS
        )
        print(
            f"{solver} against {against}: {found.ratio:.3f} times as long (at first {found.first:.3f})",
            flush=True,
        )
        (asked.folder / f"{found.instance.name}.json").write_text(dumps(found.recorded()))
    return 0


def kept_paths() -> list[Path]:
    """The instances that are kept."""
    return sorted(FOLDER.glob("*.json"))


def about(path: Path) -> dict[str, str | float]:
    """How a kept instance was found."""
    tree: dict[str, str | float] = json.loads(path.read_bytes())["extensions"]["adversarial"]
    return tree


if __name__ == "__main__":
    sys.exit(main())
