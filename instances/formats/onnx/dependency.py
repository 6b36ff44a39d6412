"""The optional `onnx` package, imported when it is needed."""

from __future__ import annotations

import importlib
from typing import Any

from dnnplan.instances.errors import MissingDependencyError


def require_onnx(submodule: str = "") -> Any:
    """Import `onnx`, or one of its submodules.

    Raises
    ------
    MissingDependencyError
        The package is not installed.

    Notes
    -----
    The module is typed ``Any``: the classes of its protocol buffers are made at run time.
    """
    try:
        return importlib.import_module(f"onnx.{submodule}" if submodule else "onnx")
    except ImportError as error:
        raise MissingDependencyError(
            'reading ONNX files needs the package "onnx": pip install "dnnplan[onnx]"'
        ) from error
