"""Networks beyond the nine of the `onnx` package, built here so that nothing has to be downloaded.

Each ``build_...`` returns an ``onnx.ModelProto`` that passes the checker. With ``light=True`` its weights
are ConstantOfShape nodes (small files, meaningless outputs); otherwise they are seeded as by
`dnnplan materialise`.
"""

from benchmarks.networks.early_exit import build_early_exit_resnet
from benchmarks.networks.mobilenet import build_mobilenet_v2
from benchmarks.networks.recurrent import build_recurrent
from benchmarks.networks.shared_trunk import build_shared_trunk_pair
from benchmarks.networks.transformer import build_vit

__all__ = [
    "build_early_exit_resnet",
    "build_mobilenet_v2",
    "build_recurrent",
    "build_shared_trunk_pair",
    "build_vit",
]
