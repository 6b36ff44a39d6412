"""The problem and the answer as data: instances, plans, results, and the files they live in."""

from dnnplan.instances.errors import (
    DnnplanError,
    FormatError,
    InfeasibleError,
    InputError,
    InstanceError,
    MissingDependencyError,
    PlanError,
    PluginError,
    Problem,
    SolverError,
    UnsupportedError,
)
from dnnplan.instances.instance import FORMAT_VERSION, Instance
from dnnplan.instances.model import DeviceRule, Layer, Model, Tensor
from dnnplan.instances.plan import Plan
from dnnplan.instances.platform import Device, Execution, Link, Memory, Mode, Platform, Power
from dnnplan.instances.result import Cost, ObjectiveValue, Result, Violation
from dnnplan.instances.sections import Costs, Limits, Ordering, Sharing, Workload
from dnnplan.instances.task import Precedence, Task

__all__ = [
    "FORMAT_VERSION",
    "Cost",
    "Costs",
    "Device",
    "DeviceRule",
    "DnnplanError",
    "Execution",
    "FormatError",
    "InfeasibleError",
    "InputError",
    "Instance",
    "InstanceError",
    "Layer",
    "Limits",
    "Link",
    "Memory",
    "MissingDependencyError",
    "Mode",
    "Model",
    "ObjectiveValue",
    "Ordering",
    "Plan",
    "PlanError",
    "Platform",
    "PluginError",
    "Power",
    "Precedence",
    "Problem",
    "Result",
    "Sharing",
    "SolverError",
    "Task",
    "Tensor",
    "UnsupportedError",
    "Violation",
    "Workload",
]
