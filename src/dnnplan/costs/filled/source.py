"""What fills cost tables: seconds of layers, and how far they may be off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from dnnplan.costs.analytic import AnalyticModel, model_from, work_of
from dnnplan.costs.routes import FloatArray
from dnnplan.instances import Model
from dnnplan.instances.errors import InputError

ANALYTIC_ERROR = 0.3
"""Standard deviation of the logarithm of true by modelled seconds where a record does not say (ours).

A mean error of 24 %: between the 18 and 35 % that fitted rooflines miss operators by (docs/analytic.md).
"""
MOST_ERROR = 3.0
"""Largest standard deviation of a logarithm that is accepted: a factor of 20 for one of it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerCosts:
    """Seconds of the L layers of a model for B batch sizes, as medians, and the errors of their logarithms.

    True seconds are taken to be ``seconds * exp(common * z + spread * x)`` with standard normal z, one for the whole
    network, and x, one for each layer.

    Parameters
    ----------
    seconds
        (L, B) medians; infinite: cannot run.
    spread
        (L, B) standard deviation of the logarithm, of each layer on its own.
    common
        Standard deviation of the logarithm of the factor that all layers share.
    flags
        (layer, what is doubtful): outside of what was measured, or a guess.
    """

    seconds: FloatArray
    spread: FloatArray
    common: float = 0.0
    flags: tuple[tuple[str, str], ...] = ()


class CostSource(Protocol):
    """Knows how long the layers of networks take on one device."""

    def layer_costs(self, model: Model, batch: Sequence[int]) -> LayerCosts:
        """Costs of all layers for these batch sizes, layers in the order of the model."""
        ...


@dataclass(frozen=True, kw_only=True)
class AnalyticSource:
    """An analytic model with an error: `error` of each layer on its own, `common` of all layers together."""

    model: AnalyticModel
    error: float = ANALYTIC_ERROR
    common: float = 0.0

    def layer_costs(self, model: Model, batch: Sequence[int]) -> LayerCosts:
        """Seconds as the model has them; the same error for every layer."""
        seconds = self.model.latency(work_of(model), list(batch))
        return LayerCosts(seconds=seconds, spread=np.full(seconds.shape, self.error), common=self.common)


def analytic_source(
    record: Mapping[str, Any], error: float = ANALYTIC_ERROR, common: float = 0.0
) -> AnalyticSource:
    """The source of an analytic record, see `dnnplan.costs.analytic.model_from`.

    Raises
    ------
    InputError
        The record describes no model.
    """
    return AnalyticSource(model=model_from(record), error=error, common=common)


def checked_costs(source: CostSource, model: Model, batch: int, name: str) -> LayerCosts:
    """Costs of a source for one batch size; `name` is that of the device, for messages.

    Raises
    ------
    InputError
        Arrays of a wrong shape; seconds that are negative or NaN; errors outside 0 to `MOST_ERROR`.
    """
    found = source.layer_costs(model, (batch,))
    shape = (len(model.layers), 1)
    for what, array in (("seconds", found.seconds), ("spread", found.spread)):
        if np.shape(array) != shape:
            raise InputError(
                f"costs of {name}: {what} of shape {np.shape(array)}, expected {shape} for model {model.name}"
            )
    wrong = ~(found.seconds[:, 0] >= 0)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise InputError(
            f"costs of {name}: layer {model.layers[at].name} of model {model.name} takes "
            f"{float(found.seconds[at, 0])!r} s, expected a number >= 0 (infinite: cannot run)"
        )
    errors = np.append(found.spread[:, 0][np.isfinite(found.seconds[:, 0])], found.common)
    if not ((errors >= 0) & (errors <= MOST_ERROR)).all():
        raise InputError(
            f"costs of {name}: errors of logarithms between {errors.min()} and {errors.max()} for model {model.name}, "
            f"expected numbers from 0 to {MOST_ERROR:g}"
        )
    return found
