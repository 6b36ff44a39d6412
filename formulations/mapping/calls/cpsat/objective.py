"""The objective of the model of calls."""

from __future__ import annotations

from dnnplan.formulations.mapping.calls.cpsat.variables import CallVariables


def minimise_latency(v: CallVariables) -> None:
    """Min C with C >= A_i: the last layer's outputs are on the host when its call has written them."""
    v.model.add_max_equality(v.latency, v.ready)
    v.model.minimize(v.latency)
