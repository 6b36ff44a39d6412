"""The bundled instances: generated ones, a hand-made one, a published suite, real networks on bundled platforms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from msgspec.structs import replace

from dnnplan.instances.bundled_platforms import load_platform, platform_names, suggestion
from dnnplan.instances.errors import InputError
from dnnplan.instances.h2h.names import H2H_DEVICES, h2h_by_name, h2h_options, h2h_rows
from dnnplan.instances.instance import Instance
from dnnplan.instances.model import Layer, Model, Tensor
from dnnplan.instances.platform import Device, Execution, Link, Memory, Platform
from dnnplan.instances.sections import Costs
from dnnplan.instances.serving.bundled import BUNDLED, serving_instance

__all__ = [
    "CatalogueRow",
    "bundled_names",
    "combine",
    "describe",
    "load_bundled",
    "load_platform",
    "platform_names",
]


class CatalogueRow(NamedTuple):
    """One bundled instance: name, what it is, layers, devices, and whether it needs the package onnx."""

    name: str
    what: str
    layers: int
    devices: int
    needs_onnx: bool = False


class _Entry(NamedTuple):
    what: str
    layers: int
    devices: int
    build: Callable[[], Instance]
    needs_onnx: bool = False


PLATFORM_PREFIXES = {
    "phone": "phone-soc",
    "jetson": "jetson-soc",
    "mcu": "mcu",
    "fpga": "fpga-host",
    "workstation": "workstation",
}
"""First part of ``phone/resnet50+inception-v1`` and the platform it stands for."""

HOST_STAGED = Execution(staging="host", overlap=False, contention="links", memory="static", weights="choice")
LIVE = Execution(contention="links", memory="live", weights="choice")


def bundled_names() -> tuple[str, ...]:
    """Names of the bundled instances, in the order of `describe`."""
    return tuple(_entries())


def describe() -> tuple[CatalogueRow, ...]:
    """What there is, one row an instance; nothing is generated or read for it."""
    return tuple(
        CatalogueRow(name, e.what, e.layers, e.devices, e.needs_onnx) for name, e in _entries().items()
    )


def load_bundled(name: str) -> Instance:
    """A bundled instance by name.

    Any of the light ONNX networks can be put on a platform as ``<platform>/<network>+<network>+...``, also
    where the combination is not listed; a network may be named twice. The suite of H2H is
    ``h2h/<model>-<GB/s to the host>`` with the endings ``-cross`` and ``-contention`` in this order.

    Raises
    ------
    InputError
        No such instance; the message names the closest ones.
    MissingDependencyError
        The instance is made of ONNX networks, and the package `onnx` is not installed.

    Examples
    --------
    >>> load_bundled("tiny/hand").models[0].layers[0].name
    'stem'
    """
    entries = _entries()
    if name in entries:
        return entries[name].build()
    prefix, _, networks = name.partition("/")
    if prefix in PLATFORM_PREFIXES and networks:
        return _networks(name)
    if h2h_options(name) is not None:
        return h2h_by_name(name)
    raise InputError(
        f"{name}: no such bundled instance; {suggestion(name, tuple(entries))} "
        "`dnnplan instances` lists them all"
    )


def combine(models: Sequence[Model], platform: Platform, *, name: str = "") -> Instance:
    """An instance that plans several networks together on one platform.

    Networks of the same name are told apart: the second of them gets ``-2``, the third ``-3``, and so on.

    Parameters
    ----------
    name
        Name of the instance; by default the names of the networks, joined by ``+``.

    Raises
    ------
    InputError
        There is no network.
    """
    if not models:
        raise InputError("models: none given, expected at least one network to plan")
    taken = {model.name for model in models}
    seen: set[str] = set()
    unique: list[Model] = []
    for model in models:
        label, count = model.name, 1
        while label in seen or (count > 1 and label in taken):
            count += 1
            label = f"{model.name}-{count}"
        seen.add(label)
        unique.append(model if label == model.name else replace(model, name=label))
    return Instance(name=name or "+".join(m.name for m in unique), platform=platform, models=tuple(unique))


def _entries() -> dict[str, _Entry]:
    """All bundled instances by name."""
    entries = {
        "tiny/hand": _Entry("hand-made: six layers, of which one cannot run on the NPU", 6, 2, tiny_hand)
    }
    for ccr, layers, devices in ((1, 50, 4), (5, 50, 8), (1, 200, 4), (1, 1000, 8), (1, 10000, 16)):
        entries |= _generated("layered", layers, devices, ccr)
    for family in ("erdos", "series-parallel", "fork-join"):
        entries |= _generated(family, 50, 4, 1) | _generated(family, 200, 8, 5)
    entries |= _generated("chain", 50, 4, 1)
    for label, note, ratio, options in VARIANTS:
        entries |= _generated("layered", 50, 4, ratio, label=label, note=note, **options)
    entries |= _multi((20, 20, 20), 4, 0.0) | _multi((50, 50, 50, 50), 8, 0.0) | _multi((20, 20, 20), 4, 5.0)
    return entries | _real() | _h2h() | _rates() | _serving()


def _serving() -> dict[str, _Entry]:
    """Entries of serving."""
    return {
        name: _Entry(row.what, row.layers, row.devices, partial(serving_instance, name), True)
        for name, row in BUNDLED.items()
    }


def _h2h() -> dict[str, _Entry]:
    """Entries of the H2H suite."""
    return {
        name: _Entry(what, layers, H2H_DEVICES, partial(h2h_by_name, name))
        for name, what, layers in h2h_rows()
    }


RATE_SCENARIOS = {
    "camera": ("four networks at 5 to 30 Hz on phone-soc, in blocks", 32, 4),
    "glasses": ("four networks at 15 to 60 Hz on phone-soc, in blocks", 32, 4),
    "driver": ("four tasks of three networks at 10 and 30 Hz on jetson-soc, in blocks", 24, 4),
}
"""What each scenario of several rates is, its layers, and its devices."""


def _rates() -> dict[str, _Entry]:
    """Entries of periodic tasks; the files are made by ``benchmarks/rate_scenarios.py``."""
    return {
        f"rates/{name}": _Entry(what, layers, devices, partial(_rate_scenario, name))
        for name, (what, layers, devices) in RATE_SCENARIOS.items()
    }


def _rate_scenario(name: str) -> Instance:
    from importlib.resources import files as resource_files

    from dnnplan.instances.files import loads_instance

    path = resource_files("dnnplan.instances") / "scenarios" / f"{name}.json"
    return loads_instance(path.read_text(encoding="utf-8"), syntax="json")


TIGHT: dict[str, Any] = {"memory_tightness": 0.5, "shared_channel": True}
VARIANTS: tuple[tuple[str, str, float, dict[str, Any]], ...] = (
    ("unrelated", "devices differ up to tenfold", 1, {"spread": "range", "heterogeneity": 10.0}),
    ("related", "FLOP and rates, no tables", 1, {"costs": "flops"}),
    ("restricted", "a third of the pairs forbidden", 1, {"restrict": 1 / 3}),
    ("host", "host staging, half of the weights fit", 0.5, {"execution": HOST_STAGED, **TIGHT}),
    ("live", "live memory, half of the weights fit", 0.5, {"execution": LIVE, **TIGHT}),
)
"""Label, note, communication ratio and options of the variants of ``layered/50x4``."""


def _generated(
    family: str, layers: int, devices: int, ccr: float, *, label: str = "", note: str = "", **options: Any
) -> dict[str, _Entry]:
    """Entry of one generated network."""
    name = f"{family}/{layers}x{devices}-ccr{ccr:g}" + (f"-{label}" if label else "")

    def build() -> Instance:
        from dnnplan.instances.generators import generate

        return replace(generate(family, layers, devices=devices, ccr=ccr, seed=1, **options), name=name)

    what = f"generated {family}, communication-to-computation ratio {ccr:g}" + (f"; {note}" if note else "")
    return {name: _Entry(what, layers, devices, build)}


def _multi(layers: tuple[int, ...], devices: int, spacing: float) -> dict[str, _Entry]:
    """Entry of several generated networks together."""
    label = "-staggered" if spacing else ""
    name = f"multi/{len(layers)}x{layers[0]}x{devices}-ccr1{label}"

    def build() -> Instance:
        from dnnplan.instances.generators import multi_model

        return replace(multi_model(layers, devices=devices, spacing=spacing, seed=1), name=name)

    what = f"generated: {len(layers)} networks of {layers[0]} layers" + (
        " released in turn" if spacing else ""
    )
    return {name: _Entry(what, sum(layers), devices, build)}


NETWORK_LAYERS = {
    "alexnet": 14,
    "densenet121": 242,
    "inception-v1": 84,
    "inception-v2": 94,
    "resnet50": 73,
    "shufflenet": 72,
    "squeezenet": 39,
    "vgg19": 25,
    "zfnet512": 14,
}
"""Layers of the light networks once elementwise and normalisation tails are fused into their producers."""

ALL_NINE = "all-nine"
REAL = (
    "phone/squeezenet",
    "phone/resnet50+inception-v1",
    "phone/resnet50+inception-v1+squeezenet+shufflenet",
    "phone/resnet50+inception-v1+densenet121+shufflenet",
    "phone/resnet50+resnet50+resnet50+inception-v1+inception-v1+inception-v2+inception-v2",
    f"phone/{ALL_NINE}",
    "jetson/resnet50+inception-v1",
    f"jetson/{ALL_NINE}",
    "workstation/resnet50+vgg19",
    "fpga/resnet50+alexnet",
    "mcu/squeezenet",
)
DEVICES = {"phone": 4, "jetson": 4, "mcu": 1, "fpga": 5, "workstation": 2}


def _real() -> dict[str, _Entry]:
    """Entries of real networks; layers and devices are written down so that listing them reads no file."""
    entries = {}
    for name in REAL:
        prefix, _, networks = name.partition("/")
        listed = tuple(NETWORK_LAYERS) if networks == ALL_NINE else tuple(networks.split("+"))
        what = f"{'nine' if networks == ALL_NINE else len(listed)} light ONNX network{'s'[: len(listed) - 1]}"
        entries[name] = _Entry(
            f"{what} on {PLATFORM_PREFIXES[prefix]}",
            sum(NETWORK_LAYERS[n] for n in listed),
            DEVICES[prefix],
            partial(_networks, name),
            True,
        )
    return entries


def _networks(name: str) -> Instance:
    """Light ONNX networks together on a bundled platform: ``<platform>/<network>+<network>``."""
    from dnnplan.instances.formats.onnx import light_network_paths, read_onnx

    prefix, _, listed = name.partition("/")
    paths = light_network_paths()
    networks = tuple(NETWORK_LAYERS) if listed == ALL_NINE else tuple(listed.split("+"))
    for network in networks:
        if network not in paths:
            raise InputError(
                f"{name}: no network {network!r}; {suggestion(network, tuple(paths))} "
                f"There are: {', '.join(paths)}"
            )
    models = {n: read_onnx(paths[n], name=n)[0] for n in dict.fromkeys(networks)}
    return combine([models[n] for n in networks], load_platform(PLATFORM_PREFIXES[prefix]), name=name)


def tiny_hand() -> Instance:
    """Six layers, two processors, times in whole milliseconds; small enough to solve by hand.

    Every transfer takes 1 ms. Each layer on its fastest processor takes 14 ms, all on the CPU 20 ms; the
    optimum is 13 ms: the CPU takes the right branch and all from the join on.
    """
    seconds = {
        "stem": {"cpu": 0.004, "npu": 0.002},
        "left": {"cpu": 0.006, "npu": 0.003},
        "right": {"cpu": 0.005, "npu": 0.004},
        "join": {"cpu": 0.001, "npu": 0.001},
        "head": {"cpu": 0.003, "npu": 0.002},
        "score": {"cpu": 0.001},
    }
    operators = ("Conv", "Conv", "Conv", "Concat", "Gemm", "Softmax")
    readers = {
        "stem": ("left", "right"),
        "left": ("join",),
        "right": ("join",),
        "join": ("head",),
        "head": ("score",),
        "score": (),
    }
    model = Model(
        name="hand",
        source="made by hand",
        layers=tuple(
            Layer(name=n, op=op, weight_bytes=500) for n, op in zip(seconds, operators, strict=True)
        ),
        tensors=(
            Tensor(name="image", targets=("stem",), bytes=1000),
            *(
                Tensor(name=f"{n}-out", source=n, targets=targets, bytes=1000, output=not targets)
                for n, targets in readers.items()
            ),
        ),
    )
    platform = Platform(
        name="hand",
        source="made by hand",
        memories=(Memory(name="cpu-memory"), Memory(name="npu-memory")),
        devices=(
            Device(name="cpu", kind="cpu", memory="cpu-memory"),
            Device(name="npu", memory="npu-memory"),
        ),
        links=(Link(name="bus", source="cpu", target="npu", bandwidth=1e6),),
    )
    return Instance(
        name="tiny/hand",
        source="made by hand",
        platform=platform,
        models=(model,),
        costs=Costs(latency={"hand": seconds}),
    )
