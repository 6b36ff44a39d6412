"""What a policy may not do."""

from __future__ import annotations

from dnnplan.instances.errors import SolverError


class PolicyError(SolverError):
    """A policy chose what it may not, or stopped serving."""
