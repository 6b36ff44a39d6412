"""Latency of ONNX Runtime on a CPU: kernels as numbers, training on profile tables, networks (docs/profiling.md)."""

from dnnplan.costs.runtime.files import load_predictor, save_predictor
from dnnplan.costs.runtime.predictor import KernelPrediction, NetworkPrediction, RuntimePredictor
from dnnplan.costs.runtime.tables import Kernel, Profiled, profiled
from dnnplan.costs.runtime.training import Training, learning_curve, network_errors, train
from dnnplan.costs.runtime.transfer import scale_factors, transferred

__all__ = [
    "Kernel",
    "KernelPrediction",
    "NetworkPrediction",
    "Profiled",
    "RuntimePredictor",
    "Training",
    "learning_curve",
    "load_predictor",
    "network_errors",
    "profiled",
    "save_predictor",
    "scale_factors",
    "train",
    "transferred",
]
