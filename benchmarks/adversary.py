"""Search for instances on which one solver of mapping is worst against another, and keep them as a suite.

python -m benchmarks.adversary --solver heft --against peft --steps 2000
python -m benchmarks.adversary --all              every pair of the list; writes benchmarks/adversarial/*.json
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import permutations
from pathlib import Path

from msgspec.structs import replace

from dnnplan.instances.files import dumps
from dnnplan.instances.instance import Instance
from dnnplan.solvers.adversarial import Adversarial, find_adversarial

FOLDER = Path(__file__).parent / "adversarial"
RULES = ("heft", "peft", "cpop", "minmin", "etf", "lookahead")
"""Solvers that are held against each other; each is also held against CP-SAT with a unit of work."""
STARTS = 3


def main() -> int:
    """Search, print, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--solver", default="heft")
    parser.add_argument("--against", default="peft")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--tasks", type=int, default=6)
    parser.add_argument("--devices", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    pairs = [(options.solver, options.against)]
    if options.all:
        pairs = [*permutations(RULES, 2), *((rule, "cpsat") for rule in RULES)]
    for solver, against in pairs:
        # A proof takes some hundred times as long as a rule.
        steps = options.steps if against != "cpsat" else max(1, options.steps // 20)
        found = max(
            (
                find_adversarial(
                    solver, against, tasks=options.tasks, devices=options.devices, steps=steps, seed=seed
                )
                for seed in range(STARTS)
            ),
            key=lambda one: one.ratio,
        )
        print(
            f"{solver} against {against}: {found.ratio:.3f} times as long (at first {found.first:.3f})",
            flush=True,
        )
        options.folder.mkdir(parents=True, exist_ok=True)
        (options.folder / f"{found.instance.name}.json").write_text(dumps(kept(found)))
    return 0


def kept(found: Adversarial) -> Instance:
    """The instance with how it was found."""
    about = {
        "solver": found.solver,
        "against": found.against,
        "ratio": round(found.ratio, 6),
        "seed": found.seed,
        "steps": found.steps,
    }
    return replace(found.instance, extensions={"adversarial": about})


def kept_paths() -> list[Path]:
    """The instances that are kept."""
    return sorted(FOLDER.glob("*.json"))


def about(path: Path) -> dict[str, str | float]:
    """How a kept instance was found."""
    tree: dict[str, str | float] = json.loads(path.read_bytes())["extensions"]["adversarial"]
    return tree


if __name__ == "__main__":
    sys.exit(main())
