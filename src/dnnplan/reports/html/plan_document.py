"""The report of one plan, whatever it decides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from msgspec.structs import replace as with_members

from dnnplan.costs import Evaluation, evaluate
from dnnplan.costs.explain import Explanation, explain
from dnnplan.costs.whole import whole_problem
from dnnplan.instances import Instance, Limits, Plan, Result
from dnnplan.reports.comparison.words import capital, counted
from dnnplan.reports.html import plan_tables
from dnnplan.reports.html.batches_chart import serving_figures
from dnnplan.reports.html.document import (
    Block,
    Cell,
    Column,
    Document,
    Section,
    Table,
    Tile,
    Tiles,
    View,
    Words,
)
from dnnplan.reports.html.gantt import gantt_figure
from dnnplan.reports.html.order_chart import order_figure
from dnnplan.reports.html.search_chart import search_figure
from dnnplan.reports.html.task_tree import tree_figure
from dnnplan.reports.schedule import Schedule, make_schedule
from dnnplan.reports.shown_text import shown
from dnnplan.reports.summary import STOPPED, proven
from dnnplan.reports.tables import MEASURE_UNITS
from dnnplan.reports.task_views import task_views
from dnnplan.reports.units import number, percent, readable
from dnnplan.reports.whole_plan_text import order_line
from dnnplan.reports.whole_views import is_whole, whole_views

Measures = dict[str, tuple[float, str | None]]
"""Figures with their units by name."""


def plan_document(
    instance: Instance, plan: Plan, result: Result | None = None, *, name: str = ""
) -> Document:
    """The report of a plan; `result` adds what is known about its quality.

    Raises
    ------
    PlanError
        The plan does not fit the instance.
    """
    if is_whole(plan):
        sections = _whole(instance, plan, result)
    elif plan.problem == "mapping":
        evaluation = evaluate(instance, plan)
        sections = _mapping(evaluation, make_schedule(evaluation, result), result)
    elif plan.batches:
        sections = _serving(instance, plan, result)
    else:
        sections = _tasks(instance, plan, result)
    sections += _search(result)
    of = shown(instance.name or name or "an instance")
    return Document(
        title=f"Plan of {of}",
        subtitle=f"{plan.problem}, objective {shown(instance.objective, 60)}",
        views=[View("Plan", sections)],
        facts=_facts(instance, plan, result),
    )


def _mapping(evaluation: Evaluation, schedule: Schedule, result: Result | None) -> list[Section]:
    explanation = explain(evaluation.problem, evaluation.decisions)
    tables: list[Block] = [plan_tables.use_table(explanation), plan_tables.path_table(explanation)]
    if any(w.gain > 0 for w in explanation.what_if):
        tables.append(plan_tables.what_if_table(explanation))
    return [
        Section(
            "Summary",
            [
                Tiles([*_mapping_tiles(schedule, evaluation, explanation, result)]),
                *_sentences(evaluation, explanation, result),
            ],
        ),
        Section("Where and when", [gantt_figure(schedule, evaluation, explanation.path)]),
        Section("Why it takes so long", tables),
    ]


def _whole(instance: Instance, plan: Plan, result: Result | None) -> list[Section]:
    views = whole_views(instance, plan, result)
    bare = with_members(instance, objective="latency", limits=Limits())
    evaluation: Evaluation = whole_problem(bare).judge(plan).decisions.evaluation
    summary, *rest = _mapping(evaluation, views.schedule, result)
    sections = [Section(summary.title, [*summary.blocks, Words(f"{capital(order_line(views))}.")])]
    if views.graph is not None:
        tree = tree_figure(views.graph, views.names, views.order, views.graph.costs.unit, views.networks)
        sections.append(Section("What is shared", [tree]))
    return [*sections, *rest]


def _tasks(instance: Instance, plan: Plan, result: Result | None) -> list[Section]:
    views = task_views(instance, plan)
    measures = {} if result is None else {n: (v, MEASURE_UNITS.get(n)) for n, v in result.measures.items()}
    sections = [Section("Summary", list(_plain_summary(result, measures)))]
    if views.graph is not None:
        sections.append(
            Section("What is shared", [tree_figure(views.graph, views.names, views.order, views.unit)])
        )
    if views.ordering is not None:
        sections.append(Section("In which order", [order_figure(views.ordering, views.order)]))
    if views.chosen is not None and instance.sharing is not None:
        rows = [
            [Cell(str(k), k), Cell(shown(", ".join(c.tasks), 200)), Cell(number(c.cost), c.cost)]
            for k in views.chosen
            for c in (instance.sharing.candidates[k],)
        ]
        columns = [Column("network", True), Column("serves"), Column("cost", True)]
        table = Table(
            title="Chosen networks",
            caption="Which candidates to have.",
            columns=columns,
            rows=rows,
            long=True,
        )
        sections.append(Section("Which networks", [table]))
    return sections


def _serving(instance: Instance, plan: Plan, result: Result | None) -> list[Section]:
    batches, latencies, measures = serving_figures(instance, plan)
    return [
        Section("Summary", list(_plain_summary(result, measures))),
        Section("Batches", [batches, latencies]),
    ]


def _search(result: Result | None) -> list[Section]:
    figure = None if result is None else search_figure(result)
    return [] if figure is None else [Section("How it was found", [figure])]


def _mapping_tiles(
    schedule: Schedule, evaluation: Evaluation, explanation: Explanation, result: Result | None
) -> Iterator[Tile]:
    cost = evaluation.cost
    yield from _quality(result)
    if schedule.objective != "latency" or result is None:
        yield Tile(readable(cost.latency, "s"), "latency", "until everything has ended")
    yield Tile(readable(cost.energy, "J"), "energy", f"{readable(cost.traffic, 'bytes')} moved over links")
    if explanation.bottleneck is not None:
        use = explanation.bottleneck
        yield Tile(
            percent(use.share),
            f"busy: {use.kind} {shown(use.name, 30)}",
            "the busiest of all devices and links",
        )
    if cost.memory:
        fullest = max(cost.memory, key=lambda memory: cost.memory[memory])
        yield Tile(
            readable(cost.memory[fullest], "bytes"),
            f"peak of {shown(fullest, 30)}",
            "the largest of all memories",
        )


def _quality(result: Result | None) -> Iterator[Tile]:
    """Value and gap of a result."""
    if result is None or result.objective.value is None:
        return
    objective = result.objective
    yield Tile(
        readable(objective.value, objective.unit),
        shown(objective.name, 40),
        f"found by {shown(result.solver, 40)}",
    )
    if result.status == "optimal":
        yield Tile("optimal", "proven: none is better", f"after {readable(result.runtime, 's')}", "good")
    elif result.gap is not None:
        yield Tile(
            percent(result.gap), "left to gain at most", f"bound {readable(result.bound, objective.unit)}"
        )
    else:
        yield Tile("unknown", "distance from the best plan", "no bound is known", "weak")


def _sentences(evaluation: Evaluation, explanation: Explanation, result: Result | None) -> Iterator[Words]:
    problem = evaluation.problem
    if result is not None:
        yield Words(f"{capital(proven(result))}.", lead=True)
    calls = len(evaluation.decisions.calls)
    moved = sum(t.end > t.start for t in evaluation.transfers)
    used = len({*evaluation.graph.device})
    parts = ", ".join(
        f"{percent(explanation.shares[k])} {word}" for k, word in _SHARES if explanation.shares[k] > 0
    )
    yield Words(
        f"{counted(problem.n, 'layer')} of {counted(len(problem.jobs), 'job')} run as {counted(calls, 'call')} on "
        f"{used} of {problem.m} devices, with {counted(moved, 'transfer')}. The critical path has "
        f"{counted(len(explanation.path), 'step')}: {parts or 'nothing'}.",
        lead=result is None,
    )
    if explanation.what_if and explanation.what_if[0].gain > 1e-4:
        best = explanation.what_if[0]
        yield Words(
            f"What would help most: {shown(best.change)}, {percent(best.gain)} less latency with the same decisions."
        )


_SHARES: tuple[tuple[Literal["compute", "transfer", "wait"], str], ...] = (
    ("compute", "of the time it computes"),
    ("transfer", "moves tensors"),
    ("wait", "waits"),
)


def _plain_summary(result: Result | None, measures: Measures) -> Iterator[Block]:
    told = None if result is None else result.objective.name
    tiles = [*_quality(result)]
    tiles += [
        Tile(readable(value, unit), shown(name.replace("_", " "), 40))
        for name, (value, unit) in measures.items()
        if name != told
    ]
    if tiles:
        yield Tiles(tiles)
    if result is not None:
        yield Words(f"{capital(proven(result))}.", lead=True)
    elif not tiles:
        yield Words("A plan without its result: how good it is, is not known here.", lead=True)


def _facts(instance: Instance, plan: Plan, result: Result | None) -> list[tuple[str, str]]:
    facts = [("Instance", f"{shown(instance.name or '-')}, hash {instance.hash()[:16]}")]
    if instance.source:
        facts.append(("Source", shown(instance.source, 200)))
    if result is not None:
        facts.append(
            (
                "Solver",
                f"{shown(result.solver)}, seed {result.seed}, {result.runtime:.2f} s: {STOPPED[result.stop_reason]}",
            )
        )
        versions = ", ".join(f"{k} {v}" for k, v in result.versions.items())
        facts += [("Versions", shown(versions, 300))] if versions else []
    facts.append(("Plan", f"format {shown(plan.format_version, 20)}, problem {shown(plan.problem, 20)}"))
    return facts
