"""Seeded random instances: graph shapes, costs with a given communication ratio, tasks that share, small ones."""

from dnnplan.instances.generators.families import (
    FAMILIES,
    chain,
    erdos,
    fork_join,
    generate,
    layered,
    multi_model,
    series_parallel,
)
from dnnplan.instances.generators.recipe import Recipe
from dnnplan.instances.generators.sharing import sharing_by_name, task_sharing
from dnnplan.instances.generators.small import all_executions, random_small
from dnnplan.instances.generators.whole import whole_by_name, whole_instance

__all__ = [
    "FAMILIES",
    "Recipe",
    "all_executions",
    "chain",
    "erdos",
    "fork_join",
    "generate",
    "layered",
    "multi_model",
    "random_small",
    "series_parallel",
    "sharing_by_name",
    "task_sharing",
    "whole_by_name",
    "whole_instance",
]
