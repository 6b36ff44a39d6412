"""An entry for a copy of a device wins over one for the device, in links, tables and for the host."""

from __future__ import annotations

import pytest

from dnnplan.costs import evaluate
from dnnplan.costs.check import check
from dnnplan.instances import Costs, Device, Instance, Layer, Link, Model, Plan, Platform, Tensor

LINKS = (
    Link(name="bus", source="npu", target="cpu", bandwidth=2),
    Link(name="fast", source="npu.1", target="cpu", bandwidth=6),
)


def instance(links: tuple[Link, ...] = LINKS, host: str | None = None, **costs: object) -> Instance:
    """Layer a (4 s on npu) sends 12 bytes to layer b (1 s)."""
    return Instance(
        models=(
            Model(
                name="m",
                layers=(Layer(name="a", flops=4), Layer(name="b", flops=1)),
                tensors=(Tensor(name="t", source="a", targets=("b",), bytes=12, output=host is not None),),
            ),
        ),
        platform=Platform(
            devices=(
                Device(name="npu", count=2, peak_flops={"*": 1}),
                Device(name="cpu", peak_flops={"*": 1}),
            ),
            links=links,
            host=host,
        ),
        costs=Costs(**costs),
    )


def latency(problem: Instance, a: str, b: str = "cpu") -> float:
    """Latency of a on one device and b on another, which `check` confirms."""
    plan = Plan(placement={"m/0/a": a, "m/0/b": b}, order={a: ("m/0/a",), b: ("m/0/b",)})
    cost = evaluate(problem, plan).cost
    assert check(problem, plan, cost=cost) == ()
    return cost.latency


@pytest.mark.parametrize("links", [LINKS, LINKS[::-1]])
def test_links(links: tuple[Link, ...]) -> None:
    assert latency(instance(links), "npu.0") == 4 + 6 + 1
    assert latency(instance(links), "npu.1") == 4 + 2 + 1


@pytest.mark.parametrize("rows", [("npu", "npu.1"), ("npu.1", "npu")])
def test_transfer_tables(rows: tuple[str, str]) -> None:
    seconds = {"npu": 3.0, "npu.1": 0.5}
    table = {"m": {"t": {name: {"cpu": seconds[name]} for name in rows}}}
    assert latency(instance(transfer=table), "npu.0") == 4 + 3 + 1
    assert latency(instance(transfer=table), "npu.1") == 4 + 0.5 + 1


def test_the_host_can_be_a_copy() -> None:
    """The output goes to npu.1 over the link that its device has to the cpu, or stays there."""
    problem = instance(LINKS[:1], host="npu.1")
    assert latency(problem, "cpu", "npu.1") == 4 + 6 + 1
    assert latency(problem, "npu.1", "cpu") == 4 + 6 + 1
