"""The generators by name: a shape, and a recipe for the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dnnplan.instances.errors import InputError
from dnnplan.instances.generators import graphs
from dnnplan.instances.generators.build import build_instance
from dnnplan.instances.generators.draws import Draws
from dnnplan.instances.generators.graphs import Graph
from dnnplan.instances.generators.recipe import make_recipe
from dnnplan.instances.instance import Instance

Shape = Callable[..., Graph]

FAMILIES: dict[str, tuple[Shape, dict[str, float]]] = {
    "chain": (lambda layers, draws: graphs.chain_graph(layers), {}),
    "layered": (graphs.layered_graph, {"width": 4.0, "degree": 2.0}),
    "erdos": (graphs.erdos_graph, {"degree": 3.0}),
    "series-parallel": (graphs.series_parallel_graph, {"parallel": 0.5}),
    "fork-join": (
        lambda layers, draws, *, branches, depth: graphs.fork_join_graph(
            layers, branches=int(branches), depth=int(depth)
        ),
        {"branches": 4, "depth": 2},
    ),
}
"""Shape by name, with its own options and their defaults."""


def generate(family: str, layers: int, *, seed: int = 0, **options: Any) -> Instance:
    """One network of a family.

    Parameters
    ----------
    family
        A key of `FAMILIES`.
    layers
        Number of layers.
    seed
        Same seed, same instance, bit for bit.
    options
        Those of the shape (see `FAMILIES`), and the fields of `Recipe`.

    Raises
    ------
    InputError
        The family or an option is unknown, or a value is out of range.

    Examples
    --------
    >>> instance = generate("layered", 20, width=3, devices=2, ccr=0.5, seed=1)
    >>> len(instance.models[0].layers)
    20
    """
    draws = Draws(seed)
    shape, options = _split(family, options)
    recipe = make_recipe(options)
    graph = _shape(family, layers, draws, shape)
    name = f"{family}-{layers}x{recipe.devices}-s{seed}"
    return build_instance(name, {"net": graph}, recipe, draws)


def layered(
    layers: int = 50, *, width: float = 4.0, degree: float = 2.0, seed: int = 0, **options: Any
) -> Instance:
    """Ranks of layers that read the rank before; `options` are the fields of `Recipe`."""
    return generate("layered", layers, seed=seed, width=width, degree=degree, **options)


def erdos(layers: int = 50, *, degree: float = 3.0, seed: int = 0, **options: Any) -> Instance:
    """Erdos-Renyi graph in topological order; `options` are the fields of `Recipe`."""
    return generate("erdos", layers, seed=seed, degree=degree, **options)


def series_parallel(layers: int = 50, *, parallel: float = 0.5, seed: int = 0, **options: Any) -> Instance:
    """Two-terminal series-parallel graph; `options` are the fields of `Recipe`."""
    return generate("series-parallel", layers, seed=seed, parallel=parallel, **options)


def fork_join(
    layers: int = 50, *, branches: int = 4, depth: int = 2, seed: int = 0, **options: Any
) -> Instance:
    """Blocks of parallel chains, like Inception; `options` are the fields of `Recipe`."""
    return generate("fork-join", layers, seed=seed, branches=branches, depth=depth, **options)


def chain(layers: int = 50, *, seed: int = 0, **options: Any) -> Instance:
    """Layers one after the other; `options` are the fields of `Recipe`."""
    return generate("chain", layers, seed=seed, **options)


def multi_model(
    layers: tuple[int, ...] = (20, 20, 20),
    *,
    family: str | tuple[str, ...] = ("layered", "fork-join", "series-parallel"),
    spacing: float = 0.0,
    seed: int = 0,
    **options: Any,
) -> Instance:
    """Several networks that share one platform, with a task for each.

    Parameters
    ----------
    layers
        Layers of each network.
    family
        Their families, taken in turn.
    spacing
        Seconds between the releases of successive tasks, as a multiple of the mean compute time.
    options
        The fields of `Recipe`; shapes have their default options.
    """
    families = (family,) if isinstance(family, str) else tuple(family)
    if not layers or not families or spacing < 0:
        raise InputError(
            f"multi_model: got layers={layers}, family={families}, spacing={spacing}; "
            "expected at least one network, at least one family, and spacing >= 0"
        )
    draws = Draws(seed)
    recipe = make_recipe(options)
    shapes = {}
    for k, size in enumerate(layers):
        kind = families[k % len(families)]
        shapes[f"net{k}"] = _shape(kind, size, draws, _split(kind, {})[0])
    step = spacing * recipe.mean_seconds
    step = float(round(step)) if recipe.integer else step
    name = f"multi-{'+'.join(map(str, layers))}x{recipe.devices}-s{seed}"
    return build_instance(name, shapes, recipe, draws, [k * step for k in range(len(layers))])


def _split(family: str, options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of the shape, completed with its defaults, and the others."""
    if family not in FAMILIES:
        raise InputError(f"{family}: no such generator; known: {', '.join(FAMILIES)}")
    known = FAMILIES[family][1]
    own = {key: options.get(key, default) for key, default in known.items()}
    return own, {key: value for key, value in options.items() if key not in known}


def _shape(family: str, layers: int, draws: Draws, own: dict[str, Any]) -> Graph:
    """The graph of a family."""
    return FAMILIES[family][0](layers, draws, **own)
