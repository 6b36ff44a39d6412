"""Tables of a store: methods, exact against heuristic, measurements, and every row."""

from __future__ import annotations

from collections.abc import Sequence

from dnnplan.reports.comparison.intervals import Interval
from dnnplan.reports.comparison.methods import Method
from dnnplan.reports.comparison.pairs import Pair, Side
from dnnplan.reports.comparison.words import change
from dnnplan.reports.html.document import Cell, Column, Table, Tone
from dnnplan.reports.html.store_ratios import ends
from dnnplan.reports.runs import Row
from dnnplan.reports.shown_text import shown
from dnnplan.reports.units import number, percent, readable

NONE = Cell("-")
TONES: dict[str, Tone] = {
    "optimal": "good",
    "infeasible": "good",
    "feasible": "",
    "measured": "",
    "error": "bad",
}
LONGEST_NOTE = 300


def methods_table(methods: Sequence[Method]) -> Table:
    """One row for each method."""
    columns = [
        Column("method"),
        Column("kind"),
        *(
            Column(title, True)
            for title in (
                "cases",
                "runs",
                "plans",
                "proven",
                "best known",
                "worse by",
                "95 % confidence",
                "median time",
                "primal integral",
            )
        ),
    ]
    rows = [
        [
            Cell(shown(m.name)),
            Cell(m.kind),
            Cell(str(m.cases), m.cases),
            Cell(str(m.runs), m.runs),
            Cell(percent(m.found / m.runs), m.found / m.runs),
            Cell(percent(m.proven / m.runs), m.proven / m.runs),
            Cell(f"{m.best} of {m.cases}", m.best / m.cases),
            *_interval(m.ratio),
            Cell(readable(m.seconds, "s"), m.seconds),
            Cell(readable(m.integral, "s"), m.integral),
        ]
        for m in methods
    ]
    if all(m.integral is None for m in methods):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return Table(
        title="Methods",
        caption=(
            "Plans: share of runs with a plan that the check accepted. Proven: share of runs with a proof. Best "
            "known: cases "
            "with the best value of the store. Worse by: geometric mean over the cases with a plan."
        ),
        columns=columns,
        rows=rows,
    )


def _interval(ratio: Interval | None) -> tuple[Cell, Cell]:
    if ratio is None:
        return NONE, NONE
    return Cell(change(ratio.mean), ratio.mean), Cell(ends(ratio), ratio.low)


def pairs_table(pairs: Sequence[Pair]) -> Table:
    """One row for each case: the best exact and the best heuristic method."""
    columns = [
        Column("case"),
        *(Column(title, True) for title in ("layers", "exact")),
        Column("by"),
        Column("in", True),
        Column("heuristic", True),
        Column("by"),
        *(Column(title, True) for title in ("in", "heuristic worse by", "95 % confidence", "left to gain")),
    ]
    rows = []
    for pair in pairs:
        case = pair.case
        rows.append(
            [
                Cell(shown(case.name)),
                Cell(str(case.layers), case.layers) if case.layers else NONE,
                *_side(pair.exact, case.unit),
                *_side(pair.heuristic, case.unit),
                *_interval(pair.ratio),
                _gap(pair.gap),
            ]
        )
    return Table(
        title="Exact against heuristic",
        caption=(
            "The best method of each kind on every case, with the median of its seeds. Confidence intervals are "
            "over seeds "
            "(Student's t of logarithms). Left to gain: how far the best known plan may be from the best bound."
        ),
        columns=columns,
        rows=rows,
        groups=[pair.case.suite for pair in pairs],
        long=True,
    )


def _side(side: Side | None, unit: str | None) -> tuple[Cell, Cell, Cell]:
    if side is None:
        return NONE, NONE, NONE
    proof: Tone = "good" if side.proven else ""
    value = readable(side.value, unit) + (" ✓" if side.proven else "")
    return (
        Cell(value, side.value, proof),
        Cell(shown(side.method, 30)),
        Cell(readable(side.seconds, "s"), side.seconds),
    )


def _gap(gap: float | None) -> Cell:
    if gap is None:
        return NONE
    return Cell("proven" if gap <= 1e-4 else percent(gap), gap, "good" if gap <= 1e-4 else "")


def targets_table(rows: Sequence[Row]) -> Table:
    """One row for each measurement, the missed targets first."""
    measured = sorted(
        (row for row in rows if row.kind == "measure"),
        key=lambda row: (row.reached is not False, row.reached is None),
    )
    words: dict[bool | None, Cell] = {
        True: Cell("✓ reached", 2, "good"),
        False: Cell("✗ missed", 0, "bad"),
        None: Cell("no target", 1, "weak"),
    }
    return Table(
        title="Measurements",
        caption="What was measured, what it was to reach, and whether it did; missed ones come first.",
        columns=[
            Column("measurement"),
            Column("found", True),
            Column("target", True),
            Column("target reached"),
            Column("in words"),
        ],
        rows=[
            [
                Cell(shown(row.instance)),
                Cell(readable(row.value, _unit(row)), row.value),
                Cell(readable(row.target, _unit(row)), row.target),
                Cell("✗ failed", 0, "bad") if row.status == "error" else words[row.reached],
                Cell(shown(row.message, LONGEST_NOTE)),
            ]
            for row in measured
        ],
        groups=[row.suite for row in measured],
        long=True,
    )


def rows_table(rows: Sequence[Row]) -> Table:
    """Every row of the store."""
    columns = [
        *(Column(title) for title in ("suite", "instance", "solver", "objective")),
        *(Column(title, True) for title in ("limit", "seed")),
        Column("status"),
        *(Column(title, True) for title in ("value", "bound", "gap", "time", "peak memory")),
        Column("message"),
    ]
    return Table(
        title="All rows",
        caption="Every row of the store, as it was run.",
        columns=columns,
        rows=[_row(row) for row in rows],
        groups=[row.suite for row in rows],
        long=True,
    )


def _unit(row: Row) -> str | None:
    return None if row.unit is None else shown(row.unit, 12)


def _row(row: Row) -> list[Cell]:
    refused = row.valid is False
    status = "✗ refused by check" if refused else row.status
    if row.status == "error" and row.stop_reason != "error":
        status = f"{row.status} ({shown(row.stop_reason, 30)})"
    return [
        Cell(shown(row.suite, 30)),
        Cell(shown(row.instance)),
        Cell(shown(row.solver, 40)),
        Cell(shown(row.objective, 40)),
        Cell("-" if row.time_limit is None else f"{number(row.time_limit)} s", row.time_limit),
        Cell(str(row.seed), row.seed),
        Cell(shown(status, 40), None, "bad" if refused else TONES.get(row.status, "weak")),
        Cell(readable(row.value, _unit(row)), row.value),
        Cell(readable(row.bound, _unit(row)), row.bound),
        Cell(percent(row.gap), row.gap),
        Cell(readable(row.seconds, "s"), row.seconds),
        Cell(readable(row.peak_memory, "bytes"), row.peak_memory),
        Cell(shown(row.message, 160)),
    ]
