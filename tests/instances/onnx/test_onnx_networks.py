"""Whole networks: the nine of the onnx package, and those built under benchmarks/."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.networks import (
    build_early_exit_resnet,
    build_mobilenet_v2,
    build_recurrent,
    build_shared_trunk_pair,
    build_vit,
)
from dnnplan.instances import Instance
from dnnplan.instances.formats.onnx import light_network_paths, read_onnx
from dnnplan.instances.validation import ensure_valid
from tests.instances.onnx.onnx_graphs import onnx, save

# Layers with tails fused. Convolutions, pools, concatenations, Gemm, softmax, LRN and sums of branches each
# count; DenseNet has 58 normalisations of values that the next concatenation reads too.
LAYERS = {
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

# Published multiply-accumulates (GMAC) at 224 x 224. ResNet-50: 3.8 (He et al., CVPR 2016, table 1), 4.1
# where the stride sits in the 3 x 3 convolution. VGG-19: 19.6 (Simonyan & Zisserman, ICLR 2015).
# DenseNet-121: 2.9 (Huang et al., CVPR 2017). SqueezeNet 1.0 is 0.82, this file is 1.1 with 0.35.
# Elementwise work, which those figures leave out, adds 0.1-2 %: the tolerance.
PUBLISHED_GMAC = {
    "resnet50": (3.8, 4.15),
    "vgg19": (19.6, 19.7),
    "densenet121": (2.8, 2.9),
    "squeezenet": (0.34, 0.36),
}

# Parameters in millions. AlexNet 61.0 (Krizhevsky et al., grouped), VGG-19 143.7, ResNet-50 25.56 and 0.05 of
# running statistics, Inception v1 7.0.
PARAMETERS = {"alexnet": 60.97, "vgg19": 143.67, "resnet50": 25.61, "inception-v1": 7.0}


def gmac(model) -> float:
    return sum(layer.flops for layer in model.layers) / 2e9


def parameters(model) -> float:
    return sum(layer.weight_bytes for layer in model.layers) / 4e6


def test_all_nine_networks_are_found():
    assert sorted(light_network_paths()) == sorted(LAYERS)


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_light_networks(name):
    model, report = read_onnx(light_network_paths()[name])
    assert report.warnings == ()
    assert report.unknown_operators == {}
    assert len(model.layers) == LAYERS[name]
    ensure_valid(Instance(models=(model,)))
    members = [node for layer in model.layers for node in layer.attributes["onnx_nodes"]]
    graph = onnx.load(light_network_paths()[name]).graph
    varying = {value.name for value in graph.input} - {tensor.name for tensor in graph.initializer}
    unfolded = []
    for node in graph.node:
        if varying.intersection(node.input):
            varying.update(node.output)
            unfolded.append(node.name)
    assert len(members) == len(set(members)) == report.nodes - report.constant_nodes
    assert sorted(members) == sorted(unfolded)


@pytest.mark.parametrize("name", sorted(PUBLISHED_GMAC))
def test_published_work(name):
    low, high = PUBLISHED_GMAC[name]
    assert low <= gmac(read_onnx(light_network_paths()[name])[0]) <= high


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_published_parameters(name):
    assert parameters(read_onnx(light_network_paths()[name])[0]) == pytest.approx(PARAMETERS[name], abs=0.005)


def test_first_layer_of_resnet50_by_hand():
    model, _ = read_onnx(light_network_paths()["resnet50"])
    first = model.layers[0]
    outputs = 64 * 112 * 112
    # 7 x 7 x 3 multiply-accumulates each, then a multiply-accumulate and a comparison.
    assert first.flops == outputs * (2 * 147 + 2 + 1)
    # Filters without bias, and four vectors of the normalisation.
    assert first.weight_bytes == 4 * (64 * 147 + 4 * 64)
    assert first.attributes["fused"] == ["BatchNormalization", "Relu"]


def test_reading_does_not_depend_on_anything_but_the_file():
    path = light_network_paths()["inception-v2"]
    assert read_onnx(path) == read_onnx(str(path))
    assert read_onnx(path, name="a/b")[0].name == "a_b"


def read(proto, tmp_path, **options):
    onnx.checker.check_model(proto)
    onnx.shape_inference.infer_shapes(proto, strict_mode=True)
    return read_onnx(save(proto, tmp_path), **options)


class TestBuiltNetworks:
    def test_mobilenet(self, tmp_path):
        model, report = read(build_mobilenet_v2(light=True), tmp_path)
        assert report.warnings == ()
        # Sandler et al. (CVPR 2018), table 4: 300 million multiply-accumulates, 3.4 million parameters (3.50
        # with the 1000-way classifier's bias, 3.54 with running statistics). Elementwise work adds 4 %.
        assert gmac(model) == pytest.approx(0.3007, rel=0.06)
        assert parameters(model) == pytest.approx(3.54, abs=0.005)
        convolutions = [layer for layer in model.layers if layer.op == "Conv"]
        assert len(convolutions) == 52
        products = sum(
            math.prod(layer.attributes["weight_shape"]) * math.prod(layer.attributes["output_shapes"][0][2:])
            for layer in convolutions
        )
        assert products + 1280 * 1000 == pytest.approx(300.8e6, rel=0.002)
        assert sum(layer.attributes["group"] > 1 for layer in convolutions) == 17

    def test_vision_transformer_by_hand(self, tmp_path):
        width, tokens, depth, heads = 24, 16, 2, 3
        proto = build_vit(image=32, patch=8, width=width, depth=depth, heads=heads, classes=5, light=True)
        model, report = read(proto, tmp_path)
        assert report.warnings == ()
        assert sum(layer.op == "Softmax" for layer in model.layers) == depth + 1
        block = 2 * tokens * width * width * (4 + 8) + 2 * 2 * tokens * tokens * width
        heavy = 2 * tokens * width * 3 * 64 + depth * block + 2 * width * 5
        light = (
            tokens * width  # position
            + depth * 2 * (7 + 1) * tokens * width  # normalisation and sum
            + depth * 4 * tokens * width  # biases of the projections
            + depth * (1 + 5) * heads * tokens * tokens  # scale and softmax
            + depth
            * (4 * (1 + 5) + 1)
            * tokens
            * width  # bias and GELU of the wide layer, bias of the narrow
            + 7 * tokens * width
            + tokens * width  # last normalisation and mean
            + 5 * (1 + 5)
        )
        assert sum(layer.flops for layer in model.layers) == heavy + light

    def test_recurrent(self, tmp_path):
        model, report = read(build_recurrent(light=True, batch="batch"), tmp_path)
        assert report.guessed_dims == {"batch": 1}
        assert report.unknown_operators == {}
        assert [layer.op for layer in model.layers] == ["Gather", "LSTM", "GRU", "Gemm", "Softmax"]
        larger, _ = read(build_recurrent(light=True, batch="batch"), tmp_path, dims={"batch": 4})
        assert [layer.flops for layer in larger.layers] == [4 * layer.flops for layer in model.layers]

    def test_early_exits_are_outputs(self, tmp_path):
        model, report = read(build_early_exit_resnet(light=True), tmp_path)
        assert report.warnings == ()
        assert [t.name for t in model.tensors if t.output] == ["exit_1", "exit_2", "exit_3"]
        # ResNet-20 for 32 x 32 images: 41 million multiply-accumulates, 0.27 million parameters (He et al.,
        # CVPR 2016, table 6 gives the parameters); projections and exits add some.
        assert gmac(model) == pytest.approx(0.041, rel=0.02)
        assert parameters(model) == pytest.approx(0.27, abs=0.01)

    def test_shared_trunks_are_equal_and_heads_are_not(self, tmp_path):
        first, second = build_shared_trunk_pair()
        for proto in (first, second):
            _, report = read(proto, tmp_path)
            assert report.warnings == ()
        one, other = (
            {t.name: onnx.numpy_helper.to_array(t) for t in proto.graph.initializer}
            for proto in (first, second)
        )
        trunk = [name for name in one if name.startswith("trunk_")]
        assert len(trunk) > 40
        assert all(np.array_equal(one[name], other[name]) for name in trunk)
        assert not np.array_equal(one["first_conv_w"], other["second_conv_w"])
        assert not set(other) & {name for name in one if name.startswith("first_")}
