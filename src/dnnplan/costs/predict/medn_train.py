"""Training of MEDN by PyTorch (`pip install "dnnplan[nn]"`).

Of the paper (arXiv 2312.06440) only the scheme of one encoder and a decoder for each module is known to us. All else
is ours:

* Target: log(latency / line) of each module, standardised over its rows; loss: the mean absolute error of that, so
  that every module counts alike, whatever its spread.
* Inputs: features by name, standardised over the rows of each module, 0 where a module has none. Each module adds a
  vector of its own to the first layer.
* Layers: an encoder of two layers, a decoder of one hidden layer, SiLU; dropout in the encoder. Several members of
  other initial weights and other orders of rows, trained at once as one batched product; their outputs are averaged.
* Steps: as many rows of every module in each step, so that small modules are seen more often. AdamW, weights but not
  biases decay; the rate rises and falls once (one cycle). No early stopping: the rate ends near 0, and no row is
  set aside.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from dnnplan.costs.predict import extras
from dnnplan.costs.predict.design import Design
from dnnplan.costs.predict.linear import WorkLine, fit_line
from dnnplan.costs.predict.medn import Head, Layer, Medn, Single, standardised
from dnnplan.costs.predict.medn_torch import (
    DEFAULT,
    MednSettings,
    Parameters,
    count_layers,
    forward,
    initial,
    one_thread,
)
from dnnplan.costs.predict.models import LEAST_ROWS, regression_rows
from dnnplan.costs.predict.tables import FloatArray
from dnnplan.instances.errors import InputError


def fit_medn(
    modules: Mapping[str, tuple[Design, FloatArray]], *, seed: int = 0, settings: MednSettings = DEFAULT
) -> Medn:
    """Train on the operators of all modules together.

    Parameters
    ----------
    modules
        Module -> design and (n,) measured seconds.
    seed
        Of initial weights, of the order of rows, and of dropout.

    Raises
    ------
    InputError
        No module, or one with too few operators.
    MissingDependencyError
        PyTorch is not installed.
    """
    torch = extras.torch()
    few = [f"{name}: {len(s)}" for name, (_, s) in modules.items() if len(s) < LEAST_ROWS]
    if few or not modules:
        raise InputError(
            f"operators to train on: {', '.join(few) or 'none'}, expected {LEAST_ROWS} or more of each module"
        )
    inputs = tuple(sorted({name for design, _ in modules.values() for name in design.names}))
    heads, rows, targets = {}, [], []
    for name, (design, seconds) in modules.items():
        heads[name], own, target = _prepared(design, seconds)
        rows.append(torch.from_numpy(_spread_out(own, design.names, inputs)))
        targets.append(torch.from_numpy(target))
    generator = torch.Generator().manual_seed(seed)
    with one_thread(torch), torch.enable_grad():
        parameters = initial(torch, len(inputs) + 1, len(modules), settings, generator)
        _train(torch, parameters, rows, targets, settings, generator)
    return _network(parameters, inputs, heads)


def _prepared(design: Design, seconds: FloatArray) -> tuple[Head, Single, Single]:
    """A head without weights, its standardised rows and targets."""
    line: WorkLine = fit_line(design.work, design.group, seconds)
    base = line.predict(design.work, design.group)
    rows, target = regression_rows(design, base), np.log(seconds) - base
    spread = rows.std(axis=0)
    head = Head(
        names=design.names,
        terms=design.terms,
        line=line,
        low=design.values.min(axis=0),
        high=design.values.max(axis=0),
        middle=rows.mean(axis=0),
        spread=np.where(spread > 1e-9 * (1 + np.abs(rows).max(axis=0)), spread, 1.0),
        shift=float(target.mean()),
        scale=max(float(target.std()), 1e-6),
        start=np.empty(0, np.float32),
        layers=(),
    )
    return head, standardised(head, rows), ((target - head.shift) / head.scale).astype(np.float32)


def _spread_out(rows: Single, names: tuple[str, ...], inputs: tuple[str, ...]) -> Single:
    """Rows of a module in the columns of all modules, the line last."""
    at = {name: index for index, name in enumerate(inputs)}
    out = np.zeros((len(rows), len(inputs) + 1), np.float32)
    out[:, [*(at[name] for name in names), len(inputs)]] = rows
    return out


def _train(
    torch: Any,
    parameters: Parameters,
    rows: list[Any],
    targets: list[Any],
    settings: MednSettings,
    generator: Any,
) -> None:
    total = sum(len(target) for target in targets)
    visits = min(settings.epochs * total, settings.most_visits)
    steps = max(math.ceil(visits / (settings.batch * len(rows))), 20)
    groups = [
        {"params": [p for name, p in parameters.items() if name.endswith("weight")]},
        {"params": [p for name, p in parameters.items() if not name.endswith("weight")], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=settings.rate, weight_decay=settings.decay)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.rate, total_steps=steps, pct_start=0.15)
    orders = [
        [_batches(torch, len(target), settings.batch, generator) for target in targets]
        for _ in range(settings.members)
    ]
    keep = 1 - settings.dropout

    def dropped(signal: Any) -> Any:
        return signal * (torch.rand(signal.shape, generator=generator) < keep) / keep

    for _ in range(steps):
        chosen = [[next(order) for order in member] for member in orders]
        batch = [torch.stack([own[at] for own, at in zip(rows, member, strict=True)]) for member in chosen]
        truth = [torch.stack([own[at] for own, at in zip(targets, member, strict=True)]) for member in chosen]
        found = forward(torch, parameters, torch.stack(batch), dropped if settings.dropout else None)
        # The sum over members: none of them sees the others.
        loss = (found - torch.stack(truth)).abs().mean() * settings.members
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        cycle.step()


def _batches(torch: Any, rows: int, batch: int, generator: Any) -> Iterator[Any]:
    """Endless batches of row numbers, every row as often; of few rows some are twice in a batch."""
    order = torch.randperm(rows, generator=generator)
    while True:
        while len(order) < batch:
            order = torch.cat([order, torch.randperm(rows, generator=generator)])
        yield order[:batch]
        order = order[batch:]


def _network(parameters: Parameters, inputs: tuple[str, ...], heads: dict[str, Head]) -> Medn:
    arrays = {name: tensor.detach().numpy() for name, tensor in parameters.items()}
    members = arrays["start"].shape[0]

    def part(name: str, at: int, module: int | None = None) -> Layer:
        weight, bias = arrays[f"{name}.{at}.weight"], arrays[f"{name}.{at}.bias"]
        if module is not None:
            weight = weight.reshape(members, -1, *weight.shape[1:])[:, module]
            bias = bias.reshape(members, -1, *bias.shape[1:])[:, module]
        return Layer(weight.copy(), bias.copy())

    encoder = tuple(part("encoder", at) for at in range(count_layers(parameters, "encoder")))
    whole = {}
    for at, (name, head) in enumerate(heads.items()):
        layers = tuple(part("decoder", layer, at) for layer in range(count_layers(parameters, "decoder")))
        whole[name] = Head(**(vars(head) | {"start": arrays["start"][:, at].copy(), "layers": layers}))
    return Medn(inputs, encoder, whole)
