"""A small multi-layer perceptron: trained by scikit-learn, kept and run as plain arrays."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.predict.extras import one_thread, sklearn
from dnnplan.costs.predict.tables import FloatArray
from dnnplan.instances.errors import FormatError

HIDDEN = (64, 64)
MAX_LAYERS = 16
CLIP = 6.0
"""Standardised features are held within this many deviations: no wild values out of range."""


@dataclass(frozen=True)
class Perceptron:
    """Standardise, then layers of weights with ReLU between them.

    Attributes
    ----------
    middle, spread
        (f,) of the training features.
    weights, biases
        Of each layer, (in, out) and (out,).
    """

    middle: FloatArray
    spread: FloatArray
    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray, ...]
    clip: float = CLIP

    def predict(self, features: FloatArray) -> FloatArray:
        """(n,) outputs for (n, f) features."""
        signal = np.clip((features - self.middle) / self.spread, -self.clip, self.clip)
        for at, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            signal = signal @ weight + bias
            if at < len(self.weights) - 1:
                signal = np.maximum(signal, 0)
        out: FloatArray = signal[:, 0]
        return out

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What a file holds."""
        layers = {f"weight{at}": weight for at, weight in enumerate(self.weights)}
        layers |= {f"bias{at}": bias for at, bias in enumerate(self.biases)}
        return {"middle": self.middle, "spread": self.spread, "clip": np.array([self.clip]), **layers}


def fit_perceptron(features: FloatArray, target: FloatArray, seed: int) -> Perceptron:
    """Train with Adam and early stopping on a tenth of the rows."""
    middle, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > 1e-9, spread, 1.0)
    scaled = np.clip((features - middle) / spread, -CLIP, CLIP)
    model = sklearn("neural_network").MLPRegressor(
        hidden_layer_sizes=HIDDEN,
        alpha=1e-3,
        learning_rate_init=3e-3,
        max_iter=200,
        early_stopping=len(target) >= 100,
        n_iter_no_change=20,
        random_state=seed,
    )
    with one_thread(), warnings.catch_warnings():
        # It says when it stops before it converged.
        warnings.simplefilter("ignore")
        model.fit(scaled, target)
    return Perceptron(middle, spread, tuple(model.coefs_), tuple(model.intercepts_))


def perceptron_from(arrays: Mapping[str, NDArray[Any]], features: int) -> Perceptron:
    """A perceptron from the arrays of a file.

    Raises
    ------
    FormatError
        An array is missing, not finite, or its size does not fit its neighbours.
    """
    count = sum(name.startswith("weight") for name in arrays)
    names = [
        "middle",
        "spread",
        "clip",
        *(f"{kind}{at}" for at in range(count) for kind in ("weight", "bias")),
    ]
    missing = [name for name in names if name not in arrays]
    if missing or not 0 < count <= MAX_LAYERS:
        raise FormatError(f"perceptron: {count} layers, missing arrays: {', '.join(missing) or 'none'}")
    found = {name: arrays[name] for name in names}
    clip = found.pop("clip")
    if clip.shape != (1,) or not clip[0] > 0:
        raise FormatError("perceptron: clip is not one number above 0")
    if any(array.dtype != np.float64 or not np.isfinite(array).all() for array in found.values()):
        raise FormatError("perceptron: numbers that are not finite or not in double precision")
    weights = tuple(found[f"weight{at}"] for at in range(count))
    biases = tuple(found[f"bias{at}"] for at in range(count))
    width, fits = features, found["middle"].shape == found["spread"].shape == (features,)
    for weight, bias in zip(weights, biases, strict=True):
        fits = fits and weight.ndim == 2 and weight.shape[0] == width and bias.shape == weight.shape[1:]
        width = weight.shape[-1] if weight.ndim else 0
    if not (fits and width == 1 and (found["spread"] > 0).all()):
        raise FormatError("perceptron: sizes of layers do not fit")
    return Perceptron(found["middle"], found["spread"], weights, biases, float(clip[0]))
