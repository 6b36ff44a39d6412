"""Figures over the grid of serving, from what its rows say."""

import pytest

from benchmarks.serving_page import averages, draw_grid, read_grid
from dnnplan.reports.runs import Row


def row(name: str, message: str) -> Row:
    return Row(
        suite="serving",
        kind="measure",
        instance=f"grid:{name}",
        status="measured",
        stop_reason="",
        message=message,
    )


ROWS = (
    row(
        "resnet50-os32|poisson|0.5",
        "mean 0.007, 0.500 of serial; p99 0.02, 1.250 of lazy; "
        "others on average 4.00 times (mean); others on average 1.10 times (p99)",
    ),
    row("resnet50-os32|gamma|0.5", "mean 1, 2.000 of rebatch_newest; others on average 1.00 times (mean)"),
    row(
        "resnet50-os32|poisson|1.2",
        "violations 0.1, 0.800 of clockwork; others on average 3.00 times (violations)",
    ),
)


def test_figures_are_read_from_the_rows():
    found = {
        (each.cell.name, each.measure): (each.ratio, each.rival, each.average) for each in read_grid(ROWS)
    }
    assert found == {
        ("resnet50-os32|poisson|0.5", "mean"): (0.5, "serial", 4.0),
        ("resnet50-os32|poisson|0.5", "p99"): (1.25, "lazy", 1.1),
        ("resnet50-os32|gamma|0.5", "mean"): (2.0, "rebatch_newest", 1.0),
        ("resnet50-os32|poisson|1.2", "violations"): (0.8, "clockwork", 3.0),
    }


def test_averages_are_geometric_means():
    others, best, cells = averages(read_grid(ROWS))["mean"]
    assert (others, best, cells) == (pytest.approx(2.0), pytest.approx(1.0), 2)
    assert averages(read_grid(ROWS))["violations"] == (pytest.approx(3.0), pytest.approx(1.25), 1)


def test_the_picture_names_the_best_rival_of_each_cell():
    pytest.importorskip("matplotlib")
    texts = [text.get_text() for panel in draw_grid(read_grid(ROWS)).axes for text in panel.texts]
    assert {"2.00\nrebatch\nnewest", "0.80\nclockwork"} <= set(texts)
    assert len(texts) == 4
