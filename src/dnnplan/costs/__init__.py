"""The one cost model: compute, communication, memory, energy; `evaluate` and `check`."""

from dnnplan.costs.decisions import Decisions, decisions_of, decode, encode, to_plan
from dnnplan.costs.evaluate import Evaluation, evaluate
from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.resolve import mapping_problem

__all__ = [
    "Decisions",
    "Evaluation",
    "MappingProblem",
    "decisions_of",
    "decode",
    "encode",
    "evaluate",
    "mapping_problem",
    "to_plan",
]
