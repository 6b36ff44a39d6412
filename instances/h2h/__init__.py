"""The suite of H2H (Zhang et al., DAC 2022): six multi-modal multi-task models on twelve FPGA accelerators."""

from dnnplan.instances.h2h.build import BANDWIDTHS, h2h_instance
from dnnplan.instances.h2h.models import MODELS, Stream

__all__ = ["BANDWIDTHS", "MODELS", "Stream", "h2h_instance"]
