"""Networks in ONNX files: reading them as models, and giving light files seeded weights.

Nothing here imports the `onnx` package before a function that needs it is called.
"""

from dnnplan.instances.formats.onnx.bundled import light_network_paths
from dnnplan.instances.formats.onnx.materialise import materialise
from dnnplan.instances.formats.onnx.reader import read_onnx
from dnnplan.instances.formats.onnx.report import ReadReport
from dnnplan.instances.formats.onnx.safety import ReadLimits

__all__ = ["ReadLimits", "ReadReport", "light_network_paths", "materialise", "read_onnx"]
