"""Latency with at most q calls on a device (Tarnawski et al., NeurIPS 2020, section 4): bounds and the exact model."""

from dnnplan.formulations.mapping.calls.path_bound import applies, path_bound

__all__ = ["applies", "path_bound"]
