"""The bundled instances of serving: the rates and objectives that they state follow from their costs."""

from __future__ import annotations

import pytest

from dnnplan.costs.serving import capacity, load, placed, serving_problem
from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.serving.bundled import BUNDLED, LOAD, SLO_FACTOR


@pytest.mark.parametrize("name", BUNDLED)
def test_stated_figures(name: str) -> None:
    pytest.importorskip("onnx")
    problem = serving_problem(load_bundled(name))
    assert load(problem) == pytest.approx(LOAD, rel=1e-3)
    for stream in problem.streams:
        first, end = problem.first[stream.model], problem.first[stream.model + 1]
        assert stream.slo == pytest.approx(SLO_FACTOR * problem.latency[first:end, 1].sum(), rel=1e-3)
    assert not problem.device.any()
    assert not problem.switch.any()


def test_two_devices_serve_more_than_one() -> None:
    pytest.importorskip("onnx")
    instance = load_bundled("serving/camera-dsp-npu")
    alone = serving_problem(instance)
    assert alone.devices == ("npu", "dsp")
    split = serving_problem(placed(instance, {"layer1": "dsp"}))
    assert split.device.tolist() == [1, 0, 0, 0]
    # 802,816 bytes of each sample over the link, and 5 microseconds.
    assert split.transfer[0, [1, 16]].tolist() == pytest.approx([5e-6 + n * 802816 / 6.4e9 for n in (1, 16)])
    assert capacity(split) > 1.4 * capacity(alone)
