"""The optional packages that train; nothing here is needed to load or to use a trained model."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager
from typing import Any

from dnnplan.instances.errors import MissingDependencyError


def sklearn(module: str) -> Any:
    """A module of scikit-learn."""
    return _load(f"sklearn.{module}", "scikit-learn")


def lightgbm() -> Any:
    """The package lightgbm."""
    return _load("lightgbm", "lightgbm")


def torch() -> Any:
    """The package torch, which trains the encoder-decoder."""
    return _load("torch", "torch", 'pip install "dnnplan[nn]"')


def one_thread() -> AbstractContextManager[Any]:
    """A context in which matrix products use one thread: small ones are slower with more."""
    limits: AbstractContextManager[Any] = _load("threadpoolctl", "scikit-learn").threadpool_limits(1)
    return limits


TREES = 'pip install "dnnplan[predict]", or --model linear or lasso'


def _load(module: str, package: str, remedy: str = TREES) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(f"training needs {package} ({error}): {remedy}") from None
