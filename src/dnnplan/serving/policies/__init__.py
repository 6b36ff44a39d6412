"""Policies by name. To add one: one file with a function that makes a `Policy` for a problem, and one line here."""

from __future__ import annotations

import importlib
from typing import Any

from dnnplan.costs.serving.problem import ServingProblem
from dnnplan.instances.errors import UnsupportedError
from dnnplan.instances.wording import suggestion
from dnnplan.serving.policies.common import Policy

REGISTRY: dict[str, str] = {
    "serial": "dnnplan.serving.policies.serial:serial",
    "greedy": "dnnplan.serving.policies.greedy:greedy",
    "timeout": "dnnplan.serving.policies.timeout:timeout",
    "aimd": "dnnplan.serving.policies.aimd:aimd",
    "clockwork": "dnnplan.serving.policies.clockwork:clockwork",
    "symphony": "dnnplan.serving.policies.symphony:symphony",
    "lazy": "dnnplan.serving.policies.lazy:lazy",
    "rebatch": "dnnplan.serving.policies.rebatch:oldest_first",
    "rebatch_newest": "dnnplan.serving.policies.rebatch:newest_first",
    "edgeserving": "dnnplan.serving.policies.edgeserving:edgeserving",
    "mdp": "dnnplan.serving.policies.mdp:mdp",
    "exit_aware": "dnnplan.serving.policies.exit_aware:exit_aware",
}


def policy_names() -> tuple[str, ...]:
    """All policies, the simplest first."""
    return tuple(REGISTRY)


def make_policy(name: str, problem: ServingProblem, **options: Any) -> Policy:
    """A policy for a problem.

    Raises
    ------
    UnsupportedError
        No such policy, or one that the problem does not suit (no objective of latency for one that needs it).
    """
    if name not in REGISTRY:
        hint = suggestion(name, REGISTRY) or f"; expected one of {', '.join(REGISTRY)}"
        raise UnsupportedError(f"unknown policy '{name}'{hint}")
    module, function = REGISTRY[name].split(":")
    made: Policy = getattr(importlib.import_module(module), function)(problem, **options)
    return made
