"""A trained predictor of ONNX Runtime on one machine: a regression for each module, and networks composed of kernels.

A kernel that no regression covers gets the time of a roofline fitted on all kernels, and a flag: it is never left
out. A kernel outside the range of training is flagged too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dnnplan.costs.analytic import work_of
from dnnplan.costs.filled.source import LayerCosts
from dnnplan.costs.predict.compose import Composition, network_terms
from dnnplan.costs.predict.models import OperatorModel
from dnnplan.costs.predict.tables import FloatArray, Operators
from dnnplan.costs.runtime.design import runtime_design
from dnnplan.costs.runtime.kernels import MODULE_OF
from dnnplan.costs.runtime.layers import model_kernels
from dnnplan.costs.runtime.processor import BLOCK
from dnnplan.costs.runtime.tables import Kernel, columns_of
from dnnplan.instances import Model
from dnnplan.instances.errors import InputError
from dnnplan.instances.wording import unknown

UNKNOWN = "unknown"
"""The module of kernels without a regression."""
LEAST_SECONDS = 1e-7


@dataclass(frozen=True)
class Fallback:
    """A roofline: overhead + max(operations / rate, bytes / bandwidth), in seconds, operations/s and bytes/s."""

    overhead: float
    rate: float
    bandwidth: float
    spread: float = 0.5

    def predict(self, kernels: Sequence[Kernel]) -> FloatArray:
        """(n,) seconds; operations are one for each number written, which is least for unknown operators."""
        elements = np.array([_elements(k.inputs) + _elements(k.outputs) for k in kernels])
        written = np.array([_elements(k.outputs) for k in kernels])
        seconds: FloatArray = self.overhead + np.maximum(written / self.rate, 4 * elements / self.bandwidth)
        return seconds


def _elements(shapes: list[list[int]]) -> float:
    return float(sum(np.prod(shape, dtype=float) for shape in shapes))


@dataclass(frozen=True)
class About:
    """What a predictor was trained on: processor, runtime, threads, load, how much of it, and channels of a block."""

    device: str = ""
    runtime: str = ""
    threads: int = 1
    utilisation: float = 0.0
    kernels: int = 0
    networks: int = 0
    block: int = BLOCK


@dataclass(frozen=True)
class KernelPrediction:
    """Seconds of kernels.

    Attributes
    ----------
    seconds, spread
        (n,) seconds, and standard deviations of the logarithm of measured / predicted.
    module
        (n,) the module of each, or `UNKNOWN`.
    flags
        Position -> why its prediction is a guess.
    """

    seconds: FloatArray
    spread: FloatArray
    module: np.ndarray[tuple[int], np.dtype[np.str_]]
    flags: dict[int, str]


@dataclass(frozen=True)
class NetworkPrediction:
    """Seconds of a network, its kernels, and the quantiles that were asked for."""

    seconds: float
    kernels: KernelPrediction
    quantiles: dict[float, float] = field(default_factory=dict)


@dataclass(frozen=True)
class RuntimePredictor:
    """Regressions by module, and a composition.

    Attributes
    ----------
    models
        By module.
    spread
        Standard deviation of log(measured / predicted) of each module, on networks that were not trained on.
    composition
        From kernels to networks; its classes are modules.
    fallback
        For kernels without a module.
    scale
        Factors of modules, of a predictor that was transferred from another device; 1 where there is none.
    """

    models: dict[str, OperatorModel]
    spread: dict[str, float]
    composition: Composition
    fallback: Fallback
    about: About = About()
    scale: dict[str, float] = field(default_factory=dict)

    def predict_kernels(self, kernels: Sequence[Kernel]) -> KernelPrediction:
        """Seconds of kernels, in their order."""
        module = np.array([self._module(kernel.operator) for kernel in kernels], dtype=str)
        seconds, spread = np.zeros(len(kernels)), np.zeros(len(kernels))
        flags: dict[int, str] = {}
        for name in np.unique(module):
            rows = np.flatnonzero(module == name)
            group = [kernels[at] for at in rows.tolist()]
            if name == UNKNOWN:
                seconds[rows], spread[rows] = self.fallback.predict(group), self.fallback.spread
                flags |= {
                    at: f"{kernels[at].operator} has no regression: a roofline stands in"
                    for at in rows.tolist()
                }
                continue
            design = runtime_design(str(name), as_operators(group, self.about.block))
            seconds[rows] = self.models[name].predict(design) * self.scale.get(name, 1.0)
            spread[rows] = self.spread[name]
            outside = self.models[name].out_of_range(design)
            flags |= {
                at: f"{kernels[at].operator} lies outside the sizes that were measured"
                for at in rows[outside].tolist()
            }
        return KernelPrediction(np.maximum(seconds, LEAST_SECONDS), spread, module, flags)

    def predict_operators(self, module: str, ops: Operators) -> FloatArray:
        """(n,) seconds of operators of one module."""
        if module not in self.models:
            raise InputError(unknown("module", module, self.models))
        return self.models[module].predict(runtime_design(module, ops)) * self.scale.get(module, 1.0)

    def predict_network(
        self, kernels: Sequence[Kernel], quantiles: Sequence[float] = ()
    ) -> NetworkPrediction:
        """Seconds of a network of kernels, end to end.

        Parameters
        ----------
        kernels
            All kernels of one run, as `dnnplan.costs.profile.network_kernels` gives them.
        quantiles
            Between 0 and 1: what so large a share of networks like those of training stays below.
        """
        if not kernels:
            raise InputError("a network without kernels")
        found = self.predict_kernels(kernels)
        one = np.array(["network"])
        terms = network_terms(one, np.full(len(kernels), "network"), found.module, found.seconds)
        seconds = float(self.composition.predict(terms)[0])
        return NetworkPrediction(
            seconds, found, {q: float(self.composition.predict(terms, q)[0]) for q in quantiles}
        )

    def layer_costs(self, model: Model, batch: Sequence[int]) -> LayerCosts:
        """Costs of the layers of an instance for `dnnplan solve --costs`: kernels, and the overhead of each.

        The overhead of a whole run is no layer's. A layer whose shapes are not known gets the fallback by its bytes.
        """
        columns = [self._layers(model, size) for size in batch]
        spread = float(np.std(np.clip(self.composition.residuals, -1, 1)))
        return LayerCosts(
            seconds=np.column_stack([seconds for seconds, _, _ in columns]),
            spread=np.column_stack([spreads for _, spreads, _ in columns]),
            common=spread,
            flags=tuple(dict.fromkeys(flag for *_, flags in columns for flag in flags)),
        )

    def _layers(self, model: Model, batch: int) -> tuple[FloatArray, FloatArray, list[tuple[str, str]]]:
        made = model_kernels(model, batch, self.about.block)
        kernels = [kernel for layer in made for kernel in layer.kernels or ()]
        owner = [i for i, layer in enumerate(made) for _ in layer.kernels or ()]
        count, names = len(model.layers), [layer.name for layer in model.layers]
        found = self.predict_kernels(kernels)
        layers = np.array(names, dtype=str)
        whole = np.zeros(count)
        known = np.array([layer.kernels is not None for layer in made], dtype=bool)
        at = np.array(owner, dtype=np.intp)
        if len(at):
            # Each layer with kernels is a network of its own; those that others have taken in cost nothing.
            positions, busy = np.array([f"{i:09d}" for i in range(count)]), np.unique(at)
            terms = network_terms(positions[busy], positions[at], found.module, found.seconds)
            whole[busy] = self.composition.predict(terms) - self.composition.coefficients[0]
        variance = np.bincount(at, weights=(found.seconds * found.spread) ** 2, minlength=count)
        total = np.bincount(at, weights=found.seconds, minlength=count)
        spread = np.sqrt(variance) / np.maximum(total, LEAST_SECONDS)
        flags = [(names[owner[kernel]], text) for kernel, text in found.flags.items()]
        moved = work_of(model)
        size = batch * (moved.input_bytes + moved.output_bytes) + moved.weight_bytes
        guess = self.fallback.overhead + np.maximum(
            size / self.fallback.bandwidth, batch * moved.flops / self.fallback.rate
        )
        whole[~known], spread[~known] = guess[~known], self.fallback.spread
        flags += [(str(name), "its shapes are not known: a roofline stands in") for name in layers[~known]]
        return np.maximum(whole, LEAST_SECONDS), spread, flags

    def _module(self, operator: str) -> str:
        module = MODULE_OF.get(operator, UNKNOWN)
        return module if module in self.models else UNKNOWN


def as_operators(kernels: Sequence[Kernel], block: int = BLOCK) -> Operators:
    """Kernels of one module that have not been measured."""
    names = np.array([kernel.operator for kernel in kernels], dtype=str)
    empty = np.full(len(kernels), "")
    return Operators(empty, names, empty, columns_of(kernels, block), np.ones(len(kernels)))
