"""The report of a store: one view of all suites, and one of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dnnplan.instances.errors import InputError
from dnnplan.reports.comparison import words
from dnnplan.reports.comparison.cases import Case, cases_of
from dnnplan.reports.comparison.kinds import kinds_of
from dnnplan.reports.comparison.methods import methods_of
from dnnplan.reports.comparison.pairs import Pair, overall, pairs_of
from dnnplan.reports.html import store_tables
from dnnplan.reports.html.document import Block, Document, Section, Tile, Tiles, Tone, View, Words
from dnnplan.reports.html.store_cases import runs_figure
from dnnplan.reports.html.store_curves import cactus_figure, gap_figure, profile_figure
from dnnplan.reports.html.store_plans import plans_figure
from dnnplan.reports.html.store_ratios import forest_figure, pairs_figure
from dnnplan.reports.html.store_scaling import scaling_figure
from dnnplan.reports.html.style import Styles
from dnnplan.reports.runs import Row
from dnnplan.reports.shown_text import shown

ALL = "All suites"
MOST_SUITES = 40
"""Suites that have a view of their own; in stores with more there is one view of everything."""


def store_document(rows: Sequence[Row], *, name: str = "", suite: str | None = None) -> Document:
    """The report of rows.

    Parameters
    ----------
    name
        Of the store, for the title.
    suite
        Only the rows of one suite.

    Raises
    ------
    InputError
        There are no rows.
    """
    kept = rows_of_suite(rows, name, suite)
    suites = tuple(dict.fromkeys(row.suite for row in kept))
    views = [_view(kept, ALL if len(suites) > 1 else shown(suites[0], 40), "")]
    if 1 < len(suites) <= MOST_SUITES:
        views += [_view([row for row in kept if row.suite == one], shown(one, 40), one) for one in suites]
    title = f"Runs of {shown(name)}" if name else "Runs"
    shared = [Section("All rows", [store_tables.rows_table(kept)])]
    return Document(title=title, subtitle=_dates(kept), views=views, shared=shared, facts=_facts(kept))


def rows_of_suite(rows: Sequence[Row], name: str = "", suite: str | None = None) -> list[Row]:
    """The rows that a report is about; None: those of all suites.

    Raises
    ------
    InputError
        There are none.
    """
    kept = [row for row in rows if suite is None or row.suite == suite]
    if kept:
        return kept
    store = name or "store"
    if not rows:
        raise InputError(f"{store}: no rows to report; run a suite into it: dnnplan bench SUITE --store FILE")
    known = ", ".join(dict.fromkeys(shown(row.suite, 40) for row in rows))
    raise InputError(f"{store}: no rows of the suite '{suite}', expected one of {known}")


def _view(rows: Sequence[Row], name: str, group: str) -> View:
    cases = cases_of(rows)
    pairs = pairs_of(cases, kinds_of(cases))
    sections = [Section("Summary", list(_summary(rows, cases, pairs)))]
    if cases:
        sections += _comparison(cases, pairs)
    if any(row.kind == "measure" for row in rows):
        sections.append(Section("Measurements", [store_tables.targets_table(rows)]))
    return View(name, sections, group)


def _summary(rows: Sequence[Row], cases: Sequence[Case], pairs: Sequence[Pair]) -> Iterator[Block]:
    yield Tiles(_tiles(rows, cases, pairs))
    first = [*words.what_was_run(rows, cases), *words.what_was_found(cases)]
    if not cases:
        yield Words(" ".join([*first, *_targets_in_words(rows)]), lead=True)
        return
    kinds = kinds_of(cases)
    compared = [*words.exact_against_heuristic(pairs), words.best_methods(methods_of(cases, kinds))]
    yield Words(" ".join(filter(None, compared)), lead=True)
    yield Words(" ".join([*first, *_targets_in_words(rows)]))
    exact = [shown(m, 40) for m, kind in kinds.items() if kind == "exact"]
    if exact:
        yield Words(
            f"Exact, that is able to prove optimality, are {', '.join(exact)}; the others are heuristics."
        )


def _targets_in_words(rows: Sequence[Row]) -> list[str]:
    asked = [row for row in rows if row.kind == "measure" and row.reached is not None]
    if not asked:
        return []
    reached = sum(row.reached is True for row in asked)
    missed = [shown(row.instance, 40) for row in asked if row.reached is False]
    text = (
        f"{reached} of {words.counted(len(asked), 'target')} {words.plural(len(asked), 'is', 'are')} reached"
    )
    few = missed[: words.NAMED]
    more = f" and {len(missed) - len(few)} more" if len(missed) > len(few) else ""
    return [text + (f"; missed: {', '.join(few)}{more}." if missed else ".")]


def _tiles(rows: Sequence[Row], cases: Sequence[Case], pairs: Sequence[Pair]) -> list[Tile]:
    tiles = []
    runs = [run for case in cases for run in case.runs]
    if runs:
        methods = len({run.method for run in runs})
        tiles.append(
            Tile(
                f"{len(runs):,}",
                "runs",
                f"{words.counted(methods, 'method')}, {words.counted(len(cases), 'case')}",
            )
        )
        proven = sum(any(run.proven for run in case.runs) for case in cases)
        tiles.append(Tile(f"{proven} of {len(cases)}", "cases with a proof", "optimal, or no plan exists"))
        mean, _ = overall(pairs)
        if mean is not None:
            note = words.interval_words(mean).strip(" ()") or "too few cases for an interval"
            tiles.append(Tile(words.change(mean.mean), "heuristic against exact", note))
        refused = sum(run.row.valid is False for run in runs)
        broken = sum(run.row.status == "error" and run.row.valid is not False for run in runs)
        tone: Tone = "bad" if refused else "good"
        tiles.append(
            Tile(str(refused), "plans refused by the check", f"{words.counted(broken, 'run')} failed", tone)
        )
    asked = [row for row in rows if row.kind == "measure" and row.reached is not None]
    if asked:
        reached = sum(row.reached is True for row in asked)
        done = reached == len(asked)
        tiles.append(
            Tile(f"{reached} of {len(asked)}", "targets reached", "measurements", "good" if done else "bad")
        )
    if not runs:
        measured = sum(row.kind == "measure" for row in rows)
        tiles.append(Tile(f"{measured:,}", "measurements", f"{measured - len(asked)} without a target"))
    return tiles


def _comparison(cases: Sequence[Case], pairs: Sequence[Pair]) -> list[Section]:
    kinds = kinds_of(cases)
    styles = Styles(kinds)
    methods = methods_of(cases, kinds)
    groups: tuple[tuple[str, tuple[Block | None, ...]], ...] = (
        (
            "Exact against heuristic",
            (
                forest_figure(methods, styles),
                pairs_figure(pairs),
                store_tables.methods_table(methods),
                store_tables.pairs_table(pairs),
            ),
        ),
        ("Over all cases", (profile_figure(cases, kinds, styles), cactus_figure(cases, kinds, styles))),
        ("Over time", (gap_figure(cases, kinds, styles), runs_figure(cases, kinds, styles))),
        ("Over size", (scaling_figure(cases, kinds, styles),)),
        ("Plans", (plans_figure(pairs),)),
    )
    sections = [Section(title, [block for block in blocks if block is not None]) for title, blocks in groups]
    return [section for section in sections if section.blocks]


def _dates(rows: Sequence[Row]) -> str:
    times = sorted(row.started_at for row in rows if row.started_at)
    count = words.counted(len(rows), "row")
    if not times:
        return count
    first, last = shown(times[0][:10], 12), shown(times[-1][:10], 12)
    return f"{count}, {first}" if first == last else f"{count}, {first} to {last}"


def _facts(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Machines and versions; more than one of a kind is said, not hidden."""
    machines = dict.fromkeys(", ".join(f"{k} {v}" for k, v in row.machine.items()) for row in rows)
    versions = dict.fromkeys(", ".join(f"{k} {v}" for k, v in row.versions.items()) for row in rows)
    times = sorted(row.started_at for row in rows if row.started_at)
    facts = [("Machine", shown(text, 300)) for text in machines if text]
    facts += [("Versions", shown(text, 400)) for text in versions if text]
    if times:
        facts.append(("Run", f"{shown(times[0], 30)} to {shown(times[-1], 30)} (UTC)"))
    return facts[:20]
