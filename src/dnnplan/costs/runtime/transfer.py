"""A predictor of one device for another that is like it, from 10 to 30 measured operators.

Each module gets a factor: the median of measured / predicted of its own samples, drawn towards that of all samples the
fewer it has. Overheads of networks are scaled by the factor of all samples. The scheme is ours.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dnnplan.costs.predict.compose import Composition
from dnnplan.costs.predict.tables import FloatArray, TextArray
from dnnplan.costs.runtime.predictor import RuntimePredictor
from dnnplan.instances.errors import InputError

PRIOR = 2.0
"""Samples that the factor of all modules counts as, in each module."""
LEAST_SAMPLES = 3


def scale_factors(
    predicted: FloatArray, measured: FloatArray, group: TextArray, groups: tuple[str, ...]
) -> tuple[float, dict[str, float]]:
    """The factor of all samples, and one for each of `groups`.

    Parameters
    ----------
    predicted, measured
        (n,) seconds of the samples, by the predictor of the known device and on the new one.
    group
        (n,) the module or kernel class of each.

    Raises
    ------
    InputError
        Fewer than 3 samples, or seconds that are not above 0.
    """
    if len(measured) < LEAST_SAMPLES:
        raise InputError(f"{len(measured)} samples, expected {LEAST_SAMPLES} or more")
    if not ((measured > 0) & (predicted > 0)).all():
        raise InputError("seconds of samples have to be above 0")
    logs = np.log(measured / predicted)
    whole = float(np.median(logs))
    factors = {}
    for name in groups:
        own = logs[group == name]
        middle = float(np.median(own)) if len(own) else whole
        factors[name] = float(np.exp((len(own) * middle + PRIOR * whole) / (len(own) + PRIOR)))
    return float(np.exp(whole)), factors


def transferred(predictor: RuntimePredictor, factor: float, factors: dict[str, float]) -> RuntimePredictor:
    """The predictor with every module scaled by its factor, and overheads by the common one."""
    scale = {name: predictor.scale.get(name, 1.0) * factors.get(name, factor) for name in predictor.models}
    fallback = replace(
        predictor.fallback,
        overhead=predictor.fallback.overhead * factor,
        rate=predictor.fallback.rate / factor,
        bandwidth=predictor.fallback.bandwidth / factor,
    )
    return replace(
        predictor, scale=scale, composition=_slower(predictor.composition, factor), fallback=fallback
    )


def _slower(composition: Composition, factor: float) -> Composition:
    """Overheads scaled; coefficients of sums stay, since the sums are scaled already."""
    coefficients = composition.coefficients.copy()
    coefficients[:2] *= factor
    if composition.form != "sum":
        coefficients[3 : 3 + len(composition.classes)] *= factor
    return replace(composition, coefficients=coefficients)
