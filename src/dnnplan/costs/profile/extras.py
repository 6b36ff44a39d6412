"""The optional packages that measure and that keep tables."""

from __future__ import annotations

import importlib
from typing import Any

from dnnplan.instances.errors import MissingDependencyError


def onnxruntime() -> Any:
    """The package onnxruntime."""
    return _load("onnxruntime", "run")


def parquet() -> Any:
    """The module pyarrow.parquet."""
    return _load("pyarrow.parquet", "run")


def arrow() -> Any:
    """The package pyarrow."""
    return _load("pyarrow", "run")


def _load(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise MissingDependencyError(
            f'profiling needs the package "{package}" ({error}): pip install "dnnplan[{extra}]"'
        ) from None
