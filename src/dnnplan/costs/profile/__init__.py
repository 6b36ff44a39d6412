"""Measuring networks and operators with onnxruntime on this machine (docs/profiling.md)."""

from dnnplan.costs.profile.api import ProfileSummary, profile_networks, profile_samples
from dnnplan.costs.profile.cells import CELLS
from dnnplan.costs.profile.offline import network_kernels
from dnnplan.costs.profile.sampling import Ranges, sample_network
from dnnplan.costs.profile.schema import ProfileRow
from dnnplan.costs.profile.setting import Effort, Setting
from dnnplan.costs.profile.store import ProfileTable

__all__ = [
    "CELLS",
    "Effort",
    "ProfileRow",
    "ProfileSummary",
    "ProfileTable",
    "Ranges",
    "Setting",
    "network_kernels",
    "profile_networks",
    "profile_samples",
    "sample_network",
]
