"""Restrictions of placements, as the periodic models take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

Choices: TypeAlias = Mapping[str, Sequence[Sequence[int]]]
"""By task: placements, each a device for every layer of a job in the order of the view; one holds for all its jobs."""
