"""Closed-form latency and energy of layers on accelerators (docs/analytic.md)."""

from dnnplan.costs.analytic.energy import (
    HOROWITZ,
    MAESTRO,
    EnergyFigures,
    Traffic,
    energy,
    in_mac_units,
    traffic,
)
from dnnplan.costs.analytic.fpga import Fpga, fpga_of
from dnnplan.costs.analytic.interface import (
    AnalyticModel,
    LatencyModel,
    cost_tables,
    model_from,
    to_record,
)
from dnnplan.costs.analytic.mcu import Mcu
from dnnplan.costs.analytic.roofline import ANNETTE_DNNDK, ANNETTE_NCS2, RefinedRoofline, Roofline, Unroll
from dnnplan.costs.analytic.systolic import ComposedArray, SystolicArray, composed
from dnnplan.costs.analytic.work import Work, work_of, work_of_gemms

__all__ = [
    "ANNETTE_DNNDK",
    "ANNETTE_NCS2",
    "HOROWITZ",
    "MAESTRO",
    "AnalyticModel",
    "ComposedArray",
    "EnergyFigures",
    "Fpga",
    "LatencyModel",
    "Mcu",
    "RefinedRoofline",
    "Roofline",
    "SystolicArray",
    "Traffic",
    "Unroll",
    "Work",
    "composed",
    "cost_tables",
    "energy",
    "fpga_of",
    "in_mac_units",
    "model_from",
    "to_record",
    "traffic",
    "work_of",
    "work_of_gemms",
]
