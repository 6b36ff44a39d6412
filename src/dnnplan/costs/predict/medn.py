"""MEDN, a multi-task encoder-decoder network: one encoder for all modules, a decoder for each; run by numpy alone.

The idea is that of Shen, Tziritas and Theodoropoulos (arXiv 2312.06440): regressions of different modules of DNNs
share what they learn. Layers, inputs, targets and training are ours (`dnnplan.costs.predict.medn_train`).

The inputs of the encoder are the features of all modules by name, and the line of work (`linear`). A feature that a
module has not is 0, the mean of the others. Several independent networks (`members`) are kept side by side and
their outputs are averaged.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.predict.design import Design
from dnnplan.costs.predict.linear import WorkLine
from dnnplan.costs.predict.models import LIMIT, regression_rows, require_columns
from dnnplan.costs.predict.tables import FloatArray
from dnnplan.instances.errors import InputError
from dnnplan.instances.wording import unknown

CLIP = 4.0
"""Standardised features are held within this many deviations."""
Single = NDArray[np.float32]


@dataclass(frozen=True)
class Layer:
    """Affine layers of all members: (members, in, out) weights and (members, 1, out) biases."""

    weight: Single
    bias: Single


@dataclass(frozen=True)
class Head:
    """What belongs to one module.

    Attributes
    ----------
    names, terms, line, low, high
        As in `OperatorModel`.
    middle, spread
        (1 + f,) of the features of training and their line.
    shift, scale
        Of log(latency / line) in training.
    start
        (members, 1, width) what the module adds to the first layer of the encoder.
    layers
        The decoder.
    """

    names: tuple[str, ...]
    terms: tuple[str, ...]
    line: WorkLine
    low: FloatArray
    high: FloatArray
    middle: FloatArray
    spread: FloatArray
    shift: float
    scale: float
    start: Single
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Medn:
    """A trained network.

    Attributes
    ----------
    inputs
        Names of the features of all modules; the line is one more, at the end.
    encoder
        Its first layer has a row for each input, and the line.
    heads
        By module.
    """

    inputs: tuple[str, ...]
    encoder: tuple[Layer, ...]
    heads: dict[str, Head]

    def predict(self, module: str, design: Design) -> FloatArray:
        """(n,) seconds of operators of one module.

        Raises
        ------
        InputError
            An unknown module, or columns that are not those of training.
        """
        head = self._head(module, design)
        base = head.line.predict(design.work, design.group)
        with np.errstate(over="ignore", invalid="ignore"):
            # Weights of a strange file can overflow; what comes out is finite all the same.
            found = self.outputs(module, standardised(head, regression_rows(design, base))).mean(axis=0)
        rest = np.nan_to_num(found)
        seconds: FloatArray = np.exp(base + np.clip(head.shift + head.scale * rest, -LIMIT, LIMIT))
        return seconds

    def outputs(self, module: str, rows: Single) -> FloatArray:
        """(members, n) standardised outputs for (n, 1 + f) standardised features of a module."""
        head, (first, *others) = self.heads[module], self.encoder
        weight = first.weight[:, self._columns[module]]
        signal = _silu(rows[None] @ weight + (first.bias + head.start))
        for layer in (*others, *head.layers[:-1]):
            signal = _silu(signal @ layer.weight + layer.bias)
        last = head.layers[-1]
        out: FloatArray = (signal @ last.weight + last.bias)[:, :, 0].astype(float)
        return out

    def out_of_range(self, module: str, design: Design) -> NDArray[np.bool_]:
        """(n,) whether some feature lies outside what was seen in training."""
        head = self._head(module, design)
        outside = (design.values < head.low) | (design.values > head.high)
        return np.asarray(outside.any(axis=1))

    def only(self, modules: Iterable[str]) -> Medn:
        """The same network with the decoders of some modules."""
        return replace(self, heads={name: self.heads[name] for name in modules})

    @cached_property
    def _columns(self) -> dict[str, NDArray[np.intp]]:
        """Module -> its inputs of the encoder, the line last."""
        at = {name: index for index, name in enumerate(self.inputs)}
        return {
            module: np.array([*(at[name] for name in head.names), len(at)], dtype=np.intp)
            for module, head in self.heads.items()
        }

    def _head(self, module: str, design: Design) -> Head:
        if module not in self.heads:
            raise InputError(unknown("module", module, self.heads))
        head = self.heads[module]
        require_columns(design, head.names, head.terms)
        return head


def standardised(head: Head, rows: FloatArray) -> Single:
    """(n, 1 + f) features as the encoder takes them."""
    scaled: Single = np.clip((rows - head.middle) / head.spread, -CLIP, CLIP).astype(np.float32)
    return scaled


def _silu(x: Single) -> Single:
    """SiLU: x times its sigmoid; by tanh nothing overflows."""
    out: Single = x * (np.float32(0.5) * (1 + np.tanh(np.float32(0.5) * x)))
    return out
