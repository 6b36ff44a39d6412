"""Cuts of latency and energy against computation-prioritised mapping: each step of H2H, and auto.

Usage: ``python -m benchmarks.h2h_table [STORE]``
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import read_rows
from benchmarks.suites.h2h import CONTENTION, CROSS, NAMES
from benchmarks.tables import markdown_table
from dnnplan.reports.runs import Row, newest
from dnnplan.reports.units import percent

COLUMNS = ("h2h_weights", "h2h_activations", "h2h", "auto")
BASELINE = "h2h_compute"
STORE = Path(__file__).parent / "results" / "h2h.sqlite"
AUTHORS = (
    "The authors give cuts of 15 to 74 % in latency and 23 to 64 % in energy against computation-prioritised mapping, "
    "without saying whether that baseline has its weights pinned (step 2) or not (step 1)."
)


def cuts(rows: Sequence[Row]) -> str:
    """Markdown: latency after step 1, and by how much each further step and auto cut latency and energy."""
    chosen = {(r.instance, r.solver): r for r in newest(rows) if r.suite == "h2h" and r.cost is not None}
    header = ("instance", "step 1", "step 2", "steps 1-3", "steps 1-4", "auto", "gap")
    body = []
    for name in (*NAMES, *CROSS, *CONTENTION):
        base = chosen.get((name, BASELINE)) or chosen.get((name, "h2h_activations"))
        auto = chosen.get((name, "auto"))
        if base is None or auto is None:
            continue
        cells = [_cut(base, chosen.get((name, solver))) for solver in COLUMNS]
        body.append((name, _absolute(base), *cells, percent(auto.gap)))
    note = "\nCuts are of latency / energy, against the column step 1 (steps 1-3 where step 1 was not run).\n"
    return markdown_table(header, body) + note + AUTHORS + "\n"


def _absolute(row: Row) -> str:
    assert row.cost is not None
    return f"{row.cost.latency:.4g} s / {row.cost.energy:.4g} J"


def _cut(base: Row, row: Row | None) -> str:
    if row is None or row.cost is None or base.cost is None:
        return ""
    return f"{percent(1 - row.cost.latency / base.cost.latency)} / {percent(1 - row.cost.energy / base.cost.energy)}"


def main() -> int:
    """Write the table of a store."""
    sys.stdout.write(cuts(read_rows(sys.argv[1] if len(sys.argv) > 1 else STORE)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
