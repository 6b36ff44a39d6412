"""Cost tables from models of devices, with their errors (docs/costs-folder.md)."""

from dnnplan.costs.filled.fill import fill_costs
from dnnplan.costs.filled.folder import read_costs
from dnnplan.costs.filled.source import AnalyticSource, CostSource, LayerCosts, analytic_source
from dnnplan.costs.filled.tables import Filled, Flag, ModelCosts, standard_normal

__all__ = [
    "AnalyticSource",
    "CostSource",
    "Filled",
    "Flag",
    "LayerCosts",
    "ModelCosts",
    "analytic_source",
    "fill_costs",
    "read_costs",
    "standard_normal",
]
