"""Rows that the tests of reports read."""

from __future__ import annotations

from typing import Any

from dnnplan.reports.runs import Row

HOSTILE = (
    "</script><script>alert('x')</script><img src=x onerror=alert(1)> \u202etxt.exe \x00 \u2028"
    " émoji 🦑 `|*_[x](javascript:alert(1))"
)
"""A name with all that could break out of HTML, JavaScript, Markdown or a chart."""


def row(instance: str, solver: str, value: float | None, **more: Any) -> Row:
    """A solve; without a value it found no plan."""
    given: dict[str, Any] = {
        "suite": "suite",
        "layers": 10,
        "devices": 2,
        "unit": "s",
        "status": "unknown" if value is None else "feasible",
        "stop_reason": "time_limit",
        "valid": None if value is None else True,
        "seconds": 1.0,
        "time_limit": 10.0,
        "started_at": "2026-01-02T03:04:05+00:00",
        **more,
    }
    return Row(instance=instance, solver=solver, value=value, **given)


def optimal(instance: str, solver: str, value: float, **more: Any) -> Row:
    """A solve that ended with a proof."""
    return row(
        instance,
        solver,
        value,
        **{"status": "optimal", "stop_reason": "proved", "bound": value, "gap": 0.0, **more},
    )


def few_rows() -> list[Row]:
    """Three instances, cpsat and heft, whose plans take 1.0, 1.2 and 1.5 times as long; one measurement."""
    rows = []
    for k, (ratio, layers) in enumerate(((1.0, 10), (1.2, 20), (1.5, 40))):
        best = 2.0 * (k + 1)
        history = ((0.5, best * 2, best / 2), (2.0, best, best))
        rows.append(optimal(f"net-{k}", "cpsat", best, layers=layers, seconds=2.0 * (k + 1), history=history))
        rows.append(
            row(
                f"net-{k}",
                "heft",
                best * ratio,
                layers=layers,
                seconds=0.1,
                stop_reason="exhausted",
                history=((0.05, best * ratio, None),),
            )
        )
    rows.append(
        Row(
            suite="suite",
            kind="measure",
            instance="speed",
            status="measured",
            stop_reason="exhausted",
            value=3.0,
            unit="s",
            target=2.0,
            reached=False,
            message="too slow",
        )
    )
    return rows


def hostile_rows() -> list[Row]:
    """Rows whose every text is hostile, and some numbers that are extreme."""
    rows = []
    for k in range(4):
        name = f"{HOSTILE} {k}" if k else "x" * 50_000
        for solver, value in (("cpsat", 1e-300 if k == 1 else 2.0), (HOSTILE, 1e300 if k == 2 else 3.0)):
            rows.append(
                row(
                    name,
                    solver,
                    value,
                    suite=HOSTILE,
                    objective=HOSTILE,
                    message=HOSTILE,
                    unit="s" if k else HOSTILE,
                    versions={HOSTILE: HOSTILE},
                    machine={HOSTILE: HOSTILE},
                    layers=10 * (k + 1),
                    history=((0.1, value * 2, None), (0.2, value, value)),
                    bound=value,
                    gap=0.0,
                )
            )
    rows.append(
        Row(
            suite=HOSTILE,
            kind="measure",
            instance=HOSTILE,
            status="measured",
            stop_reason="exhausted",
            value=-1.0,
            unit=HOSTILE,
            target=0.0,
            reached=False,
            message=HOSTILE,
        )
    )
    rows.append(row("zero", "heft", 0.0))
    rows.append(row("zero", "cpsat", 0.0))
    rows.append(row("negative", "heft", -2.0))
    rows.append(row("negative", "cpsat", 3.0))
    rows.append(row("none", "heft", None))
    return rows
