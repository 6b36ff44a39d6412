"""Plans of the policy `exit_aware`: tables for segments of networks, and what simulations choose among them."""

from dnnplan.serving.planning.tuning import QUICK, Effort, planned

__all__ = ["QUICK", "Effort", "planned"]
