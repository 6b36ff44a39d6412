"""Tables about one plan of mapping: how busy devices and links are, the critical path, and what would help."""

from __future__ import annotations

from dnnplan.costs.explain import Explanation
from dnnplan.reports.html.document import Cell, Column, Table
from dnnplan.reports.shown_text import shown
from dnnplan.reports.units import percent, readable

MOST_STEPS = 2000


def use_table(explanation: Explanation) -> Table:
    """How busy devices and links are."""
    used = [*explanation.devices, *(link for link in explanation.links if link.busy > 0)]
    return Table(
        title="Devices and links",
        caption="How long each is busy, and which part of that a device spends with moving tensors.",
        columns=[
            Column("name"),
            Column("kind"),
            Column("busy", True),
            Column("of the time", True),
            Column("moving", True),
        ],
        rows=[
            [
                Cell(shown(use.name)),
                Cell(use.kind),
                Cell(readable(use.busy, "s"), use.busy),
                Cell(percent(use.share), use.share),
                Cell(readable(use.transfer, "s") if use.kind == "device" else "-", use.transfer),
            ]
            for use in used
        ],
        long=True,
    )


def path_table(explanation: Explanation) -> Table:
    """The critical path in the order of time."""
    return Table(
        title="Critical path",
        caption="The chain that ends last, step by step, and why no step could start earlier.",
        columns=[
            Column("start", True),
            Column("takes", True),
            Column("what"),
            Column("name"),
            Column("where"),
            Column("not earlier because"),
        ],
        rows=[
            [
                Cell(readable(step.start, "s"), step.start),
                Cell(readable(step.end - step.start, "s"), step.end - step.start),
                Cell({"call": "compute"}.get(step.kind, step.kind)),
                Cell(shown(step.name)),
                Cell(shown(step.where)),
                Cell(shown(step.reason, 160)),
            ]
            for step in explanation.path[:MOST_STEPS]
        ],
        long=True,
    )


def what_if_table(explanation: Explanation) -> Table:
    """What the same decisions would take on a changed platform."""
    return Table(
        title="What would help",
        caption="Latency of the same decisions on a changed platform; a new plan may gain more.",
        columns=[Column("with the same decisions and"), Column("latency", True), Column("gain", True)],
        rows=[
            [Cell(shown(w.change)), Cell(readable(w.latency, "s"), w.latency), Cell(percent(w.gain), w.gain)]
            for w in explanation.what_if
            if w.gain > 0
        ],
    )
