"""Records of runs: what was run, on what, and what came out; kept in SQLite files by `dnnplan bench`."""

from dnnplan.reports.runs.primal import best_values, primal_integral
from dnnplan.reports.runs.row import Kind, Row, newest
from dnnplan.reports.runs.schema import SCHEMA_VERSION
from dnnplan.reports.runs.store import Store

__all__ = ["SCHEMA_VERSION", "Kind", "Row", "Store", "best_values", "newest", "primal_integral"]
