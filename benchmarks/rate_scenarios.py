"""The bundled scenarios of several networks at several rates: how they are made, and written to the package.

``python -m benchmarks.rate_scenarios`` writes them again (it needs the package onnx). Networks are the light ones of
that package, cut into blocks by `dnnplan.costs.blocks`; times are those of the cost model on the platform. Rates are
multiples of a camera's frame time (33.3 ms) or a display's (16.7 ms); which network does what is assumed.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from dnnplan.costs.blocks import in_blocks
from dnnplan.instances import Instance, Task
from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.files import write_instance

FOLDER = Path(__file__).parents[1] / "instances" / "scenarios"
BLOCKS = 8


class Use(NamedTuple):
    """A task: its name, its network, and the frames from one request to the next."""

    task: str
    network: str
    frames: int


class Scenario(NamedTuple):
    """Prefix of the platform in the catalogue, decimal frame time in units of 0.1 ms, and the uses."""

    prefix: str
    frame: int
    uses: tuple[Use, ...]


SCENARIOS: dict[str, Scenario] = {
    "camera": Scenario(
        "phone",
        333,
        (
            Use("scene", "squeezenet", 1),
            Use("subject", "inception-v2", 2),
            Use("pixels", "resnet50", 3),
            Use("style", "vgg19", 6),
        ),
    ),
    "glasses": Scenario(
        "phone",
        167,
        (
            Use("eyes", "shufflenet", 1),
            Use("hands", "squeezenet", 2),
            Use("scene", "inception-v1", 2),
            Use("objects", "resnet50", 4),
        ),
    ),
    "driver": Scenario(
        "jetson",
        333,
        (
            Use("front", "resnet50", 1),
            Use("rear", "resnet50", 1),
            Use("lanes", "inception-v2", 1),
            Use("signs", "vgg19", 3),
        ),
    ),
}


def build(name: str) -> Instance:
    """A scenario from the networks."""
    scenario = SCENARIOS[name]
    networks = dict.fromkeys(use.network for use in scenario.uses)
    whole = in_blocks(load_bundled(f"{scenario.prefix}/{'+'.join(networks)}"), BLOCKS)
    return replace(
        whole,
        name=f"rates/{name}",
        source=f"light networks of the package onnx in at most {BLOCKS} blocks; times by the cost model; rates assumed",
        tasks=tuple(
            Task(name=use.task, model=use.network, period=use.frames * scenario.frame / 10_000)
            for use in scenario.uses
        ),
    )


def main() -> None:
    """Write all scenarios."""
    FOLDER.mkdir(exist_ok=True)
    for name in SCENARIOS:
        write_instance(build(name), FOLDER / f"{name}.json", overwrite=True)


if __name__ == "__main__":
    main()
