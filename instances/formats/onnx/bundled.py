"""Where the `onnx` package keeps the nine light networks that need no download."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from dnnplan.instances.errors import MissingDependencyError

_FILES = {
    "alexnet": "light_bvlc_alexnet.onnx",
    "densenet121": "light_densenet121.onnx",
    "inception-v1": "light_inception_v1.onnx",
    "inception-v2": "light_inception_v2.onnx",
    "resnet50": "light_resnet50.onnx",
    "shufflenet": "light_shufflenet.onnx",
    "squeezenet": "light_squeezenet.onnx",
    "vgg19": "light_vgg19.onnx",
    "zfnet512": "light_zfnet512.onnx",
}


def light_network_paths() -> dict[str, Path]:
    """Short name to file of the nine networks in ``onnx/backend/test/data/light``.

    The package is located, not imported. Files that its version does not have are left out.

    Raises
    ------
    MissingDependencyError
        The package `onnx` is not installed.
    """
    spec = importlib.util.find_spec("onnx")
    if spec is None or spec.origin is None:
        raise MissingDependencyError(
            'the light networks are part of the package "onnx": pip install "dnnplan[onnx]"'
        )
    folder = Path(spec.origin).parent / "backend" / "test" / "data" / "light"
    return {name: folder / file for name, file in _FILES.items() if (folder / file).is_file()}
