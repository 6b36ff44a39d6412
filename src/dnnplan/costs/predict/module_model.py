"""A predictor of several modules of networks: for each module the regression that was chosen for it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.predict.design import Design
from dnnplan.costs.predict.files import save_model
from dnnplan.costs.predict.forests import LEAF, Forest
from dnnplan.costs.predict.medn import Medn
from dnnplan.costs.predict.medn_files import save_medn
from dnnplan.costs.predict.mlp import Perceptron
from dnnplan.costs.predict.models import MODELS, OperatorModel
from dnnplan.costs.predict.tables import FloatArray
from dnnplan.instances.errors import InputError
from dnnplan.instances.wording import unknown

MEDN = "medn"
BLEND = "medn+ensemble"
"""The mean of MEDN and the ensemble of trees, on the log scale."""
KINDS = (*MODELS, MEDN, BLEND)

NODE, PRODUCT, UNIT = 8.0, 0.06, 4.0
"""Nanoseconds of a visited node of a tree, of a multiply-add in a matrix product, of an activation function.

Rounded from measurements of large batches on one core; they rank models the same way on every run and machine.
"""


@dataclass(frozen=True)
class ModuleModel:
    """A regression for each module.

    Attributes
    ----------
    kinds
        Module -> one of `KINDS`.
    operators
        The models of those modules whose kind is not MEDN alone.
    medn
        The network that those of kind MEDN share, and the blends; None: there are none.
    """

    kinds: dict[str, str]
    operators: dict[str, OperatorModel]
    medn: Medn | None = None

    def predict(self, module: str, design: Design) -> FloatArray:
        """(n,) seconds of operators of one module.

        Raises
        ------
        InputError
            An unknown module, or columns that are not those of training.
        """
        self._require(module)
        found = []
        if module in self.operators:
            found.append(self.operators[module].predict(design))
        if self.medn is not None and MEDN in self.kinds[module]:
            found.append(self.medn.predict(module, design))
        return found[0] if len(found) == 1 else np.sqrt(found[0] * found[1])

    def out_of_range(self, module: str, design: Design) -> NDArray[np.bool_]:
        """(n,) whether some feature lies outside what was seen in training: the prediction is a guess there."""
        self._require(module)
        if module in self.operators:
            return self.operators[module].out_of_range(design)
        assert self.medn is not None
        return self.medn.out_of_range(module, design)

    def only(self, module: str) -> ModuleModel:
        """The same for one module, with no more than it needs."""
        self._require(module)
        shared = self.medn.only([module]) if self.medn is not None and MEDN in self.kinds[module] else None
        own = {module: self.operators[module]} if module in self.operators else {}
        return ModuleModel({module: self.kinds[module]}, own, shared)

    def _require(self, module: str) -> None:
        if module not in self.kinds:
            raise InputError(unknown("module", module, self.kinds))


def work_nanoseconds(model: ModuleModel, module: str) -> float:
    """Time of one prediction in a batch, estimated from the sizes of the model: the same on every run."""
    total = 0.0
    if module in model.operators:
        operator = model.operators[module]
        total += PRODUCT * len(operator.terms) + sum(_part_work(part) for part in operator.parts)
    if model.medn is not None and MEDN in model.kinds[module]:
        head = model.medn.heads[module]
        layers = (*model.medn.encoder[1:], *head.layers)
        first = model.medn.encoder[0].bias
        products = first.size * (1 + len(head.names)) + sum(layer.weight.size for layer in layers)
        units = first.size + sum(layer.bias.size for layer in layers[:-1])
        total += PRODUCT * (len(head.terms) + products) + UNIT * units
    return total


def _part_work(part: object) -> float:
    if isinstance(part, Forest):
        leaves = np.add.reduceat((part.feature == LEAF).astype(float), part.roots)
        # The mean depth of a leaf of a tree in balance.
        return NODE * float(np.log2(np.maximum(leaves, 2)).sum())
    assert isinstance(part, Perceptron)
    units = sum(bias.size for bias in part.biases[:-1])
    return PRODUCT * sum(weight.size for weight in part.weights) + UNIT / 4 * units


def model_bytes(model: ModuleModel, module: str) -> int:
    """Bytes of the files of one module; of MEDN the encoder and the decoder of that module."""
    own = model.only(module)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.npz"
        size = sum(save_model(operator, path) for operator in own.operators.values())
        return size + (0 if own.medn is None else save_medn(own.medn, path))
