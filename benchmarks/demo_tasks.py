"""`make demo-tasks`: ten tasks of one camera on a microcontroller, from affinities to a task graph and an order."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec.structs import replace
from rich.console import Console
from rich.table import Table

from benchmarks.demo import WIDTH, command
from dnnplan.cli.live import progress_line
from dnnplan.costs.ordering.problem import ordering_problem
from dnnplan.costs.sharing.affinity import affinity
from dnnplan.costs.sharing.grouping import GroupingProblem, grouping_problem
from dnnplan.instances import Instance, Ordering, Plan, Precedence, Result, Sharing, Task
from dnnplan.instances.catalogue import load_platform
from dnnplan.instances.files import write_instance, write_plan, write_text
from dnnplan.instances.sections import Block
from dnnplan.instances.validation import ensure_valid
from dnnplan.reports.summary import proven
from dnnplan.reports.tables import new_table
from dnnplan.reports.task_plan_figure import write_affinity, write_task_plan
from dnnplan.reports.task_plan_text import task_plan_text
from dnnplan.reports.trade_off_figure import write_trade_off
from dnnplan.reports.units import number, percent, readable
from dnnplan.solvers import solve
from dnnplan.solvers.grouping.front import crossing_point, pareto_front_of

PLATFORM = "mcu"
FAMILIES = {
    "people": ("person", "face", "mask", "fall"),
    "traffic": ("car", "plate", "bicycle"),
    "scene": ("smoke", "rain", "night"),
}
"""Tasks on one camera; those of a family look at the same things."""
PRECEDENCES = (("person", "face"), ("face", "mask"), ("car", "plate"))
IMAGE, CHANNELS, CLASSES = 48, (3, 16, 32, 64, 64), 2
"""Side of the image in pixels, channels from the image on, answers of a task; every block halves the side."""
SAMPLES, FEATURES = 120, 32
OWN = (0.15, 0.35, 0.7)
"""How much of the features is of a family, behind each of the first blocks; half as much is of the task alone."""
SEED, FLOAT = 5, 4


@dataclass(frozen=True, kw_only=True)
class Row:
    """A way to run all tasks once: seconds and joules of its order, the figures of its task graph."""

    name: str
    plan: Plan
    seconds: float
    joules: float
    size: float
    variety: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; 0 if every plan is valid."""
    return command(run, "benchmarks.demo_tasks", __doc__, "seconds for each search", arguments)


def run(folder: Path, time_limit: float, out: Console) -> int:
    """Affinities, the trade-off curve, an order, the optimum of both, pictures, and what was gained."""
    folder.mkdir(parents=True, exist_ok=True)
    instance = camera()
    problem = grouping_problem(instance)
    out.print(
        f"{problem.n} tasks on {PLATFORM}, {problem.levels} blocks to share; affinities from the activations "
        f"of {SAMPLES} samples (synthetic: three families of tasks)"
    )
    with progress_line("trade-off curve"):
        points = pareto_front_of(problem, first="size", second="variety", time_limit=time_limit)
    chosen = crossing_point(points, first="size", second="variety")
    exact = sum(point.proven for point in points)
    out.print(f"trade-off curve: {len(points)} task graphs, {exact} proven; taken where its curves cross")
    grouped = with_groups(instance, problem, chosen.groups)
    ordered = _solve(grouped, "ordering", {}, time_limit)
    limit = chosen.measures["variety"]
    joint = _solve(instance, "joint", {"variety": limit}, time_limit)
    if ordered.plan is None or joint.plan is None:
        out.print(f"no plan within {time_limit:g} s")
        return 1
    alone = tuple((t,) for t in range(problem.n))
    everyone = (tuple(range(problem.n)),)
    first = (everyone, *[alone] * (problem.levels - 1))
    rows = [
        row(instance, "nothing shared (Vanilla)", named(problem, (alone,) * problem.levels)),
        row(instance, "first block shared (MTL)", named(problem, first)),
        row(instance, "task graph, tasks as listed", named(problem, chosen.groups)),
        row(instance, "task graph, then its best order", ordered.plan),
        row(instance, "both at once, as alike", joint.plan),
    ]
    out.print()
    out.print(comparison(rows))
    out.print()
    out.print(task_plan_text(instance, rows[-1].plan, width=min(out.width, WIDTH)), soft_wrap=True)
    out.print()
    files = {name: folder / name for name in ("tasks.json", "tasks-plan.json", "tasks-result.json")}
    pictures = {name: folder / name for name in ("affinity.png", "trade-off.png", "tasks.png")}
    write_instance(instance, files["tasks.json"], overwrite=True)
    write_plan(rows[-1].plan, files["tasks-plan.json"], overwrite=True)
    write_text(joint.to_json() + "\n", files["tasks-result.json"], overwrite=True)
    write_affinity(instance, pictures["affinity.png"], overwrite=True)
    write_trade_off(
        points, chosen, pictures["trade-off.png"], by="size", unit=problem.unit("size"), overwrite=True
    )
    write_task_plan(instance, rows[-1].plan, pictures["tasks.png"], overwrite=True)
    for path in [*files.values(), *pictures.values()]:
        out.print(f"{'picture' if path.suffix == '.png' else 'file':<10} {path}", soft_wrap=True)
    out.print()
    out.print(conclusion(rows, joint), soft_wrap=True)
    return 0 if ordered.valid and joint.valid else 1


def camera() -> Instance:
    """The instance: blocks of a small network on the microcontroller, affinities from activations."""
    tasks = tuple(name for family in FAMILIES.values() for name in family)
    blocks, side = [], IMAGE
    for before, after in itertools.pairwise(CHANNELS):
        weights = 9 * before * after + after
        blocks.append(Block(bytes=FLOAT * weights, flops=2 * side * side * 9 * before * after))
        side //= 2
    inputs = side * side * CHANNELS[-1]
    instance = Instance(
        name="camera",
        objective="variety",
        tasks=tuple(Task(name=name, model="camera-net") for name in tasks),
        platform=load_platform(PLATFORM),
        precedences=tuple(Precedence(before=before, after=after) for before, after in PRECEDENCES),
        ordering=Ordering(closed=True),
        sharing=Sharing(
            branch_points=("image", "conv1", "conv2", "conv3"),
            affinity=tuple(
                tuple(tuple(float(x) for x in line) for line in level)
                for level in affinity(activations(tasks)).round(6)
            ),
            blocks=tuple(blocks),
            head=Block(bytes=FLOAT * inputs * CLASSES, flops=2 * inputs * CLASSES),
        ),
    )
    ensure_valid(instance)
    return instance


def activations(tasks: Sequence[str]) -> list[list[np.ndarray]]:
    """[branch point][task] arrays (SAMPLES, features): the image, then features that part further with each block."""
    rng = np.random.default_rng(SEED)
    family = {task: name for name, members in FAMILIES.items() for task in members}
    image = rng.standard_normal((SAMPLES, FEATURES))
    found = [[image] * len(tasks)]

    def weights() -> np.ndarray:
        return np.asarray(rng.standard_normal((FEATURES, FEATURES)) / np.sqrt(FEATURES))

    for own in OWN:
        common, of_family = weights(), {name: weights() for name in FAMILIES}
        mixed = [(1 - own) * common + own * of_family[family[task]] + own / 2 * weights() for task in tasks]
        found.append([np.maximum(image @ matrix, 0.0) for matrix in mixed])
    return found


def with_groups(
    instance: Instance, problem: GroupingProblem, groups: Sequence[Sequence[Sequence[int]]]
) -> Instance:
    """The instance with a task graph, to be ordered."""
    assert instance.sharing is not None
    names = tuple(tuple(tuple(problem.tasks[t] for t in group) for group in level) for level in groups)
    return replace(instance, objective="switching", sharing=replace(instance.sharing, groups=names))


def named(problem: GroupingProblem, groups: Sequence[Sequence[Sequence[int]]]) -> Plan:
    """A plan of a task graph whose tasks run as they are listed."""
    names = tuple(tuple(tuple(problem.tasks[t] for t in group) for group in level) for level in groups)
    return Plan(groups=names, task_order=tuple(problem.tasks))


def row(instance: Instance, name: str, plan: Plan) -> Row:
    """What a plan costs, by the cost model."""
    problem = grouping_problem(instance)
    index = {task: t for t, task in enumerate(problem.tasks)}
    groups = plan.groups or (instance.sharing.groups if instance.sharing else ())
    measures = problem.measures(tuple(tuple(tuple(index[t] for t in g) for g in level) for level in groups))
    assert instance.sharing is not None
    grouped = replace(instance, sharing=replace(instance.sharing, groups=groups))
    cost = {}
    for objective in ("switching", "energy"):
        view = ordering_problem(replace(grouped, objective=objective))
        cost[objective] = view.cost(tuple(index[task] for task in plan.task_order))
    return Row(
        name=name,
        plan=replace(plan, groups=groups),
        seconds=cost["switching"],
        joules=cost["energy"],
        size=measures["size"],
        variety=measures["variety"],
    )


def _solve(instance: Instance, problem: str, limits: dict[str, float], time_limit: float) -> Result:
    if not sys.stderr.isatty():
        sys.stderr.write(f"{problem}: planning, up to {time_limit:g} s ...\n")
    with progress_line(problem, "s") as on_progress:
        result = solve(
            instance, problem=problem, limits=limits, time_limit=time_limit, on_progress=on_progress
        )
    sys.stderr.write(f"{problem}: {result.status} after {result.runtime:.2f} s\n")
    return result


def comparison(rows: Sequence[Row]) -> Table:
    """The ways side by side."""
    table = new_table("way", ">time a round", ">energy", ">weights", ">variety")
    for one in rows:
        table.add_row(
            one.name,
            readable(one.seconds, "s"),
            readable(one.joules, "J"),
            readable(one.size, "bytes"),
            number(one.variety),
        )
    return table


def conclusion(rows: Sequence[Row], joint: Result) -> str:
    """One line: what the last way gains over each of the others, and what is proven about it."""
    *others, best = rows
    gains = ", ".join(f"{percent(1 - best.seconds / one.seconds)} less than '{one.name}'" for one in others)
    return f"Gained: a round takes {readable(best.seconds, 's')}, {gains}. Proven: {proven(joint)}."


if __name__ == "__main__":
    sys.exit(main())
