"""The H2H suite against totals from outside, and against the layer tables of the public code where they are."""

from __future__ import annotations

import csv
import json

import pytest

from dnnplan.costs import mapping_problem
from dnnplan.instances import InputError
from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.h2h import MODELS, h2h_instance
from dnnplan.instances.h2h.accelerators import ACCELERATORS
from tests.support.data import data_folder, needs_data

# Convolutions, fully connected, recurrent; 10^6 parameters; 10^9 operations.
TOTALS = {
    "vlocnet": (135, 6, 0, 191.98, 260.47),
    "casia-surf": (44, 0, 0, 13.24, 15.51),
    "vfs": (42, 7, 0, 365.67, 63.15),
    "facebag": (51, 1, 0, 24.74, 3.06),
    "cnn-lstm": (17, 0, 3, 17.82, 3.23),
    "mocap": (44, 4, 4, 31.01, 91.53),
}
NAMES = dict(zip(TOTALS, ("VLocNet", "CASIA-SURF", "VFS", "FaceBag", "CNN-LSTM", "MoCap"), strict=True))


def layers_of(model):
    return {
        f"M{s}L{i}": layer
        for s, stream in enumerate(MODELS[model].streams, 1)
        for i, layer in enumerate(stream, 1)
    }


@pytest.mark.parametrize("model", TOTALS)
def test_totals(model):
    layers = layers_of(model).values()
    kinds = [sum(x.op == op for x in layers) for op in ("Conv", "Gemm", "LSTM")]
    parameters, work = sum(x.weights for x in layers) / 1e6, sum(x.flops for x in layers) / 1e9
    assert (*kinds, round(parameters, 2), round(work, 2)) == pytest.approx(TOTALS[model], abs=0.011)


def test_times_of_a_layer_by_hand():
    """64 x 64 channels, 56 x 56, 3 x 3 on cnn-2: 4 x 4 x 2 outer tiles of 2 inner ones; port 1.6e9 numbers a second.

    Inner tile: read (32 x 32 x 9 + 32 x 256) / 1.6e9 = 10.88 us, compute 2 x 224 x 9216 / 61.62e9 s; 7168 written.
    """
    row = load_bundled("h2h/casia-surf-0.5").costs.latency["casia-surf"]["M1L5"]
    assert row["cnn-2"] == pytest.approx(32 * (2 * (10.88e-6 + 448 * 9216 / 61.62e9) + 4.48e-6), rel=1e-12)
    assert set(row) == {a.name for a in ACCELERATORS if a.kind == "Conv"}


def test_edges_between_streams_join_and_share_the_input():
    alone, cross = (load_bundled(f"h2h/casia-surf-0.5{ending}").models[0] for ending in ("", "-cross"))
    assert sum(t.output for t in alone.tensors) == 3
    assert sum(t.output for t in cross.tensors) == 1
    feeding = [t for t in cross.tensors if "M1L13" in t.targets]
    assert [t.source for t in feeding] == ["M1L12", "M2L12", "M3L12"]
    read = sum(t.read_bytes.get("M1L13", t.bytes) for t in feeding)
    assert read == pytest.approx(4 * layers_of("casia-surf")["M1L13"].reads)


def test_one_link_for_all_is_one_channel():
    problem = mapping_problem(load_bundled("h2h/mocap-0.5-contention"))
    assert problem.routes.channels == ("host-link",)
    assert problem.execution.contention == "links"
    assert load_bundled("h2h/mocap-0.5-cross-contention").platform == problem.instance.platform


@pytest.mark.parametrize("name", ["h2h/mocap-0.3", "h2h/mocap", "h2h/mocap-0.5-crossed", "h2h/resnet-0.5"])
def test_other_names_are_refused(name):
    with pytest.raises(InputError, match="no such bundled instance"):
        load_bundled(name)


@needs_data("h2h")
@pytest.mark.parametrize("model", TOTALS)
def test_layers_are_those_of_the_public_tables(model):
    with (data_folder() / "h2h" / "march_mmmt_layers.csv").open(encoding="utf-8") as file:
        rows = {r["layer"]: r for r in csv.DictReader(file) if r["model"] == NAMES[model]}
    layers = layers_of(model)
    assert list(layers) == list(rows)
    for key, layer in layers.items():
        expected = [int(rows[key][c]) for c in ("weights", "ops", "ifm_elems", "ofm_elems")]
        assert [layer.weights, layer.flops, layer.reads, layer.writes] == expected
    edges = json.loads((data_folder() / "h2h" / "cross_edges.json").read_text(encoding="utf-8"))
    assert [list(edge) for edge in MODELS[model].cross] == edges[NAMES[model]]


@needs_data("h2h")
def test_accelerators_are_those_of_the_public_tables():
    with (data_folder() / "h2h" / "march_accelerators.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = ("throughput", "DDR", "Freq", "Bandwidth", "power")
    expected = [[float(row[c]) for c in columns] for row in rows]
    assert [[a.gops, a.gigabytes, a.megahertz, a.port_bits, a.watts] for a in ACCELERATORS] == expected


def test_streams_of_your_own():
    from dnnplan.instances.h2h.layers import Conv, Dense
    from dnnplan.instances.h2h.models import Modal

    instance = h2h_instance(Modal("two", ((Conv(8, 3, 4, 4, 1), Dense(2, 128)),)), 1.0, name="own")
    assert [layer.name for layer in instance.models[0].layers] == ["M1L1", "M1L2"]
    assert instance.name == "own"
