"""How methods look in every figure of a report: colour, dash and mark, so that none of them is needed alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dnnplan.reports.comparison.kinds import Kind
from dnnplan.reports.html.markup import chart_text
from dnnplan.reports.shown_text import shown

COLOURS = 8
_EXACT_DASHES = ("solid", "longdash")
_HEURISTIC_DASHES = ("dash", "dot", "dashdot", "longdashdot")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "pentagon", "star", "hexagon")
MOST_SHOWN = 10
"""Methods that are drawn at once; the others are switched on by the reader."""


class Styles:
    """The look of each method: the more often it was run, the earlier it gets a colour of its own."""

    def __init__(self, kinds: Mapping[str, Kind]) -> None:
        self._kinds = dict(kinds)
        self._index = {name: k for k, name in enumerate(kinds)}

    def line(self, method: str) -> dict[str, Any]:
        """Line of a trace: exact methods are solid, heuristics dashed."""
        k = self._index[method]
        exact = self._kinds[method] == "exact"
        dashes = _EXACT_DASHES if exact else _HEURISTIC_DASHES
        return {
            "color": self.colour(method),
            "dash": dashes[k // COLOURS % len(dashes)],
            "width": 2.4 if exact else 2,
        }

    def colour(self, method: str) -> str:
        """Token of its colour."""
        return f"@c{self._index[method] % COLOURS}"

    def marker(self, method: str, size: float = 8) -> dict[str, Any]:
        """Mark of a trace: filled for exact methods."""
        symbol = _SYMBOLS[self._index[method] % len(_SYMBOLS)]
        exact = self._kinds[method] == "exact"
        line = {"width": 1.6, "color": self.colour(method)}
        return {
            "symbol": symbol if exact else f"{symbol}-open",
            "size": size,
            "color": self.colour(method),
            "line": line if not exact else {"width": 0},
        }

    def trace(self, method: str, **more: Any) -> dict[str, Any]:
        """What all traces of a method have in common."""
        late = self._index[method] >= MOST_SHOWN
        return {
            "type": "scatter",
            "name": label(method),
            "legendgroup": method,
            "hoverinfo": "text",
            **({"cliponaxis": False} if more.get("mode") == "markers" else {}),
            **({"visible": "legendonly"} if late else {}),
            **more,
        }


def label(text: str, longest: int = 40) -> str:
    """Text of a file inside a chart."""
    return chart_text(shown(text, longest))


def labels(texts: Sequence[str], longest: int = 60) -> list[str]:
    """The same of several."""
    return [label(text, longest) for text in texts]


def hover(*lines: str) -> str:
    """Text that appears over a point; its lines are escaped."""
    return "<br>".join(chart_text(shown(line, 120)) for line in lines if line)
