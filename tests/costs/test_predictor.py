"""Predictors of ONNX Runtime: columns of kernels, training, files, networks, layers, transfer, what to measure next."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from typer.testing import CliRunner

from dnnplan.costs.predict import active, fit_operators
from dnnplan.costs.predict.design import Design
from dnnplan.costs.profile.schema import COLUMNS, ProfileRow, as_record
from dnnplan.costs.runtime import files as predictor_files
from dnnplan.costs.runtime import layers as model_layers
from dnnplan.costs.runtime import tables, training, transfer
from dnnplan.costs.runtime.kernels import MODULES, kernel_columns
from dnnplan.costs.runtime.predictor import RuntimePredictor
from dnnplan.costs.runtime.processor import channel_block
from dnnplan.costs.runtime.tables import Kernel
from dnnplan.instances import Layer, Model, Tensor
from dnnplan.instances.errors import FormatError, InputError

CONV = {"kernel_shape": [3, 3], "strides": [1, 1], "pads": [1, 1, 1, 1], "group": 1}


def conv(channels, filters, size):
    shapes = [[1, channels, size, size], [filters, channels, 3, 3], [filters]]
    return Kernel("nchwc.Conv", shapes, [[1, filters, size, size]], dict(CONV))


def relu(channels, size):
    return Kernel("Relu", [[1, channels, size, size]], [[1, channels, size, size]], {})


def law(kernel):
    """The seconds that the made-up machine takes."""
    columns = kernel_columns(kernel.operator, kernel.inputs, kernel.outputs, kernel.attributes)
    if kernel.operator == "nchwc.Conv":
        return 5e-6 + columns["macs"] / 2e10
    return 2e-6 + columns["elements_out"] / 1e9


def rows_of_network(name, kernels, rng, threads=1, noise=0.01):
    common = {
        "key": f"{name}|{threads}",
        "network": name,
        "threads": threads,
        "batch": 1,
        "utilisation": 0.0,
        "runs": 5,
        "kernels": len(kernels),
        "device": "made up",
        "runtime": "none",
    }
    times = [law(kernel) / threads**0.5 * np.exp(noise * rng.standard_normal()) for kernel in kernels]
    whole = 20e-6 + 1.02 * sum(times)
    yield ProfileRow(scope="network", seconds=whole, low=whole, high=whole, **common)
    for at, (kernel, seconds) in enumerate(zip(kernels, times, strict=True)):
        yield ProfileRow(
            scope="operator",
            node=f"n{at}",
            operator=kernel.operator,
            inputs=json.dumps(kernel.inputs),
            outputs=json.dumps(kernel.outputs),
            attributes=json.dumps(kernel.attributes),
            seconds=seconds,
            low=seconds,
            high=seconds,
            **common,
        )


def table(networks=40, seed=0, threads=(1,)):
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(networks):
        kernels = []
        for _ in range(int(rng.integers(3, 9))):
            channels, filters, size = (
                int(rng.choice(c)) for c in ([16, 32, 64, 96], [16, 32, 64], [7, 14, 28, 56])
            )
            kernels += [conv(channels, filters, size), relu(filters, size)]
        for count in threads:
            rows += list(rows_of_network(f"net{number}", kernels, rng, count))
    records = [as_record(row) for row in rows]
    return {name: [record[name] for record in records] for name in COLUMNS}


@pytest.fixture(scope="module")
def trained():
    return training.train(table(), kind="linear")


@pytest.fixture(scope="module")
def predictor(trained):
    return trained.predictor


# Columns.


@pytest.mark.parametrize("module", sorted(MODULES))
def test_columns_of_every_operator_are_finite_numbers(module):
    shape = [2, 16, 8, 8] if module not in ("gemm", "recurrent") else [5, 2, 16]
    for operator in MODULES[module]:
        inputs = [shape, [16, 16, 3, 3]] if module == "conv" else [shape, shape]
        found = kernel_columns(
            operator, inputs, [shape], {"hidden_size": 16} if module == "recurrent" else {}
        )
        assert all(
            isinstance(value, float) and np.isfinite(value) and value >= 0 for value in found.values()
        ), operator


def test_columns_of_a_convolution_count_its_work():
    found = kernel_columns(*_parts(conv(16, 32, 14)))
    assert found["macs"] == 14 * 14 * 32 * 16 * 9
    assert (found["blocked"], found["block"], found["has_sum"]) == (1.0, 8.0, 0.0)


def test_columns_of_products_agree_however_they_are_written():
    tall = kernel_columns("MatMul", [[2, 7, 5], [5, 3]], [[2, 7, 3]], {"constants": [1]})
    flat = kernel_columns("Gemm", [[14, 5], [5, 3], [3]], [[14, 3]], {"constants": [1, 2]})
    assert [tall[name] for name in ("m", "k", "n", "macs")] == [
        flat[name] for name in ("m", "k", "n", "macs")
    ]
    batched = kernel_columns("MatMul", [[2, 7, 5], [2, 5, 3]], [[2, 7, 3]], {})
    assert (batched["repeats"], batched["m"]) == (2.0, 7.0)


def _parts(kernel):
    return kernel.operator, kernel.inputs, kernel.outputs, kernel.attributes


# Tables.


def test_rows_of_other_settings_are_left_out():
    columns = table(3, threads=(1, 2))
    found = tables.profiled(columns, threads=2)
    assert len(found.networks.network) == 3
    assert set(found.modules) == {"conv", "elementwise"}
    with pytest.raises(InputError, match="no measured operator"):
        tables.profiled(columns, threads=7)


def test_operators_without_a_module_are_counted_not_dropped_in_silence():
    columns = table(2)
    at = columns["operator"].index("Relu")
    columns["operator"][at] = "com.example.Magic"
    assert tables.profiled(columns).unknown == {"com.example.Magic": 1}


@pytest.mark.parametrize("cell", ["", "[", "{}", "[[-1]]", '[["a"]]', "[" * 100_000])
def test_broken_cells_are_refused(cell):
    columns = table(2)
    columns["inputs"][1] = cell
    with pytest.raises(FormatError, match="row"):
        tables.profiled(columns)


def test_operators_without_a_module_count_for_networks():
    columns = table(2)
    at = columns["operator"].index("Relu")
    columns["operator"][at] = "com.example.Magic"
    assert tables.profiled(columns).frame[1].tolist() == [columns["seconds"][at]]


def test_machines_and_runtimes_are_not_mixed():
    columns = table(4)
    columns["device"][5] = "another"
    with pytest.raises(InputError, match="one device"):
        tables.profiled(columns)


def test_kernels_around_samples_count_for_networks_only():
    columns = table(2)
    at = columns["operator"].index("Relu")
    columns["node"][at] = f"{tables.FRAME}source_1"
    before, after = tables.profiled(table(2)), tables.profiled(columns)
    assert len(after.modules["elementwise"]) == len(before.modules["elementwise"]) - 1
    assert after.frame[1].tolist() == [columns["low"][at]]


def test_cost_of_events_is_found():
    rng = np.random.default_rng(0)
    count = rng.integers(5, 200, size=60).astype(float)
    total = count * 2e-5 + rng.random(60) * 1e-3
    seconds = 3e-5 + total - 1.5e-6 * count
    assert training.event_cost(total, count, seconds) == pytest.approx(1.5e-6, rel=0.02)
    assert training.event_cost(total, count, total + 1e-5) == pytest.approx(0.0, abs=1e-8)


# Training.


def test_a_law_is_learned(trained):
    modules = trained.by_module()
    assert all(row["mape"] < 2 for row in modules.values())
    assert trained.networks()["mape"] < 1.5


def test_networks_are_predicted_with_quantiles_in_order(predictor):
    kernels = [conv(32, 48, 28), relu(48, 28)]
    found = predictor.predict_network(kernels, [0.1, 0.9])
    assert found.seconds == pytest.approx(20e-6 + 1.02 * sum(map(law, kernels)), rel=0.03)
    assert found.quantiles[0.1] <= found.seconds * 1.001
    assert found.quantiles[0.1] < found.quantiles[0.9]
    assert not found.kernels.flags


def test_unknown_and_unseen_kernels_are_flagged_and_never_skipped(predictor):
    strange = Kernel("com.example.Magic", [[1, 64, 14, 14]], [[1, 64, 14, 14]], {})
    found = predictor.predict_kernels([conv(16, 32, 14), strange, conv(1024, 1024, 224)])
    assert set(found.flags) == {1, 2}
    assert "roofline" in found.flags[1]
    assert "outside" in found.flags[2]
    assert found.seconds[1] > 1e-6
    # A module that was not trained is unknown as well.
    assert 0 in predictor.predict_kernels([Kernel("LSTM", [[5, 1, 8]], [[5, 1, 1, 8]], {})]).flags


def test_training_needs_enough_networks_of_the_setting():
    with pytest.raises(InputError, match="networks with 1 threads"):
        training.train(table(5))
    with pytest.raises(InputError, match="model"):
        training.train(table(5), kind="zzz")


def test_learning_curves_have_errors_of_whole_networks():
    """Kernels around samples are part of the measured networks, so they are part of the predicted ones."""
    columns = table(60)
    for at, operator in enumerate(columns["operator"]):
        if operator == "Relu" and at % 3:
            columns["node"][at] = f"{tables.FRAME}source_{at}"
    points = training.learning_curve(columns, [22, 44], kind="linear")
    assert [row["networks"] for row in points] == [22, 44]
    assert all(row["e2e_mape"] < 2 for row in points)
    with pytest.raises(InputError, match="to train on"):
        training.learning_curve(table(30), [29], kind="linear")


# Files.


def test_folders_round_trip(tmp_path, predictor):
    kernels = [conv(32, 48, 28), relu(48, 28), Kernel("Magic", [[1, 9]], [[1, 9]], {})]
    size = predictor_files.save_predictor(predictor, tmp_path / "p")
    assert size < 1e6
    again = predictor_files.load_predictor(tmp_path / "p")
    first, second = (p.predict_network(kernels, [0.9]) for p in (predictor, again))
    assert first.seconds == second.seconds
    assert first.quantiles == second.quantiles
    assert again.about == predictor.about
    with pytest.raises(InputError, match="already"):
        predictor_files.save_predictor(predictor, tmp_path / "p")


def _broken(record):
    yield {**record, "format": "other"}
    yield {**record, "modules": {"../../etc": 0.1}}
    yield {**record, "modules": {"gemm": 0.1}}
    yield {**record, "extra": 1}
    yield {**record, "fallback": {**record["fallback"], "rate": -1}}
    yield {**record, "composition": {}}
    yield {**record, "scale": {"conv": -1}}


def test_damaged_folders_are_refused(tmp_path, predictor):
    folder = tmp_path / "p"
    predictor_files.save_predictor(predictor, folder)
    path = folder / predictor_files.FILE
    record = json.loads(path.read_text())
    for wrong in _broken(record):
        path.write_text(json.dumps(wrong))
        with pytest.raises(FormatError):
            predictor_files.load_predictor(folder)
    path.write_text("{")
    with pytest.raises(FormatError):
        predictor_files.load_predictor(folder)
    with pytest.raises(FormatError, match=r"predictor\.json"):
        predictor_files.load_predictor(tmp_path)


# Layers of instances.


def layer(op="Conv", **attributes):
    found = {
        "input_shapes": [[1, 32, 28, 28]],
        "output_shapes": [[1, 48, 28, 28]],
        "kernel": [3, 3],
        "strides": [1, 1],
        "pads": [1, 1, 1, 1],
        "dilations": [1, 1],
        "group": 1,
        "weight_shape": [48, 32, 3, 3],
    }
    return Layer(name="layer", op=op, flops=1e6, attributes=found | attributes)


def kernels_of(*layers, tensors=(), batch=1):
    made = model_layers.model_kernels(Model(name="net", layers=layers, tensors=tensors), batch)
    return [None if found.kernels is None else [k.operator for k in found.kernels] for found in made]


INPUT = Tensor(name="in", targets=("layer",), bytes=1)


@pytest.mark.parametrize(
    ("fused", "operators"),
    [
        ([], ["nchwc.ReorderInput", "nchwc.Conv"]),
        (["BatchNormalization", "Relu"], ["nchwc.ReorderInput", "nchwc.Conv"]),
        (["BatchNormalization", "Mul", "Add", "Relu"], ["nchwc.ReorderInput", "nchwc.Conv"]),
        (["HardSwish"], ["nchwc.ReorderInput", "nchwc.Conv"]),
        (["HardSigmoid", "Mul"], ["nchwc.ReorderInput", "nchwc.Conv"]),
        (["Sigmoid", "Mul"], ["nchwc.ReorderInput", "nchwc.Conv", "QuickGelu"]),
        (["Softplus"], ["nchwc.ReorderInput", "nchwc.Conv", "nchwc.ReorderOutput", "Softplus"]),
    ],
)
def test_layers_become_the_kernels_of_the_runtime(fused, operators):
    assert kernels_of(layer(fused=fused), tensors=(INPUT,)) == [operators]


def test_odd_channels_are_not_blocked():
    odd = layer(input_shapes=[[1, 51, 28, 28]], weight_shape=[48, 51, 3, 3], fused=["Relu"])
    assert kernels_of(odd, tensors=(INPUT,)) == [["FusedConv"]]


def test_wide_blocks_need_more_channels():
    odd = layer("MaxPool", input_shapes=[[1, 24, 28, 28]], output_shapes=[[1, 24, 14, 14]])
    model = Model(name="net", layers=(odd,), tensors=(INPUT,))
    found = {
        block: [k.operator for k in model_layers.model_kernels(model, block=block)[0].kernels]
        for block in (8, 16)
    }
    assert found == {8: ["nchwc.ReorderInput", "nchwc.MaxPool"], 16: ["MaxPool"]}


def test_a_predictor_remembers_the_blocks_of_its_processor(tmp_path):
    wide = table()
    wide["block"] = [16] * len(wide["key"])
    made = training.train(wide, kind="linear").predictor
    predictor_files.save_predictor(made, tmp_path / "p")
    assert predictor_files.load_predictor(tmp_path / "p").about.block == 16


def test_layers_of_a_batch_have_larger_shapes():
    recurrent = Layer(
        name="l", op="LSTM", attributes={"input_shapes": [[5, 1, 8]], "output_shapes": [[5, 1, 1, 8]]}
    )
    made = model_layers.model_kernels(Model(name="net", layers=(layer(), recurrent)), 3)
    assert [found.kernels[0].inputs[0] for found in made] == [[3, 32, 28, 28], [5, 3, 8]]


GRAPHS = {
    "squeezenet": 0,
    "shufflenet": 0,
    "inception-v1": 0,
    "inception-v2": 0,
    "densenet121": 22,
    "resnet50": 0,
    "mobilenet-v2": 0,
    "lstm": 0,
    "vit": 15,
}
"""Networks, and kernels that the rules have too many or too few of.

A ViT: reshapes that cancel, and one fused sum; DenseNet: normalisation behind the last convolutions of blocks.
"""


@pytest.mark.parametrize("name", sorted(GRAPHS))
def test_kernels_of_layers_are_those_of_the_optimised_graph(tmp_path, name):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from benchmarks.networks import build_mobilenet_v2, build_recurrent, build_vit
    from dnnplan.costs.profile import network_kernels
    from dnnplan.instances.formats.onnx import light_network_paths, read_onnx
    from dnnplan.instances.formats.onnx.materialise import materialise

    built = {"mobilenet-v2": build_mobilenet_v2, "lstm": build_recurrent, "vit": build_vit}
    path = tmp_path / f"{name}.onnx"
    # With weights: the optimiser does less for constants that are computed.
    if name in built:
        onnx.save(built[name](), path)
    else:
        materialise(light_network_paths()[name], path)
    made = model_layers.model_kernels(read_onnx(path)[0], block=channel_block())
    ruled = Counter(kernel.operator for found in made for kernel in found.kernels)
    real = Counter(kernel.operator for kernel in network_kernels(path))
    apart = ((ruled - real) + (real - ruled)).total()
    assert apart == GRAPHS[name]


def test_costs_of_layers_are_kernels_with_their_overhead(predictor):
    known, blank = layer(fused=["Relu"]), Layer(name="blank", op="Conv", flops=1e6)
    model = Model(name="net", layers=(known, blank))
    found = predictor.layer_costs(model, [1, 2])
    assert found.seconds.shape == found.spread.shape == (2, 2)
    assert found.seconds[0, 0] == pytest.approx(1.02 * law(conv(32, 48, 28)), rel=0.05)
    assert found.seconds[0, 1] > 1.5 * found.seconds[0, 0]
    assert [name for name, _ in found.flags if name == "blank"]


# Transfer, and what to measure next.


def test_a_few_samples_carry_a_predictor_to_another_device(predictor):
    kernels = [conv(16 * a, 32, size) for a in (1, 2, 4) for size in (7, 14, 28, 56)]
    known = predictor.predict_kernels(kernels)
    slow = 1.7 * known.seconds
    factor, factors = transfer.scale_factors(known.seconds, slow, known.module, tuple(predictor.models))
    assert factor == pytest.approx(1.7)
    moved = transfer.transferred(predictor, factor, factors)
    assert isinstance(moved, RuntimePredictor)
    np.testing.assert_allclose(moved.predict_kernels(kernels).seconds, slow, rtol=1e-9)
    whole = [p.predict_network(kernels).seconds for p in (predictor, moved)]
    assert whole[1] == pytest.approx(1.7 * whole[0])


def test_modules_with_few_samples_stay_near_the_others():
    predicted, measured = np.ones(12), np.array([2.0] * 11 + [8.0])
    group = np.array(["a"] * 11 + ["b"])
    factor, factors = transfer.scale_factors(predicted, measured, group, ("a", "b", "c"))
    assert (factor, factors["a"], factors["c"]) == pytest.approx((2.0, 2.0, 2.0))
    assert 2.0 < factors["b"] < 8.0
    with pytest.raises(InputError, match="samples"):
        transfer.scale_factors(predicted[:2], measured[:2], group[:2], ("a",))


def small_design(x):
    terms = np.column_stack([np.ones(len(x)), x])
    return Design(("x",), x[:, None], ("one", "x"), terms, np.full(len(x), "all"))


def test_gains_are_those_of_the_gaussian_process():
    """Against the formula: trace of the covariance before and after, with the chosen ones measured."""
    rng = np.random.default_rng(0)
    first, pool = small_design(rng.uniform(1, 4, 5)), small_design(rng.uniform(1, 10, 12))
    weight = rng.random(12)
    found = active.suggest(first, pool, 4, weight=weight)
    known, own, _ = active._scaled((first, pool, pool), active.LENGTH)
    before = weight @ np.diag(active._after(known, own, own, active.NOISE))
    for count in (1, 4):
        rows = found.order[:count]
        more = active._Points(np.vstack([known.at, own.at[rows]]), np.full(5 + count, "all"))
        after = weight @ np.diag(active._after(more, own, own, active.NOISE))
        assert found.gain[:count].sum() == pytest.approx((before - after) / before, rel=1e-6)


def test_groups_tell_nothing_of_each_other_and_what_is_known_gains_little():
    x = np.array([1.0, 5.0, 9.0])
    here = small_design(x)
    there = Design(here.names, here.values, here.terms, here.work, np.full(3, "other"))
    both = Design(
        here.names,
        np.vstack([here.values, there.values]),
        here.terms,
        np.vstack([here.work, there.work]),
        np.concatenate([here.group, there.group]),
    )
    found = active.suggest(here, both, 6)
    assert set(found.order[:3].tolist()) == {3, 4, 5}
    assert found.gain[3:].sum() < 0.1 * found.gain[:3].sum()


def test_suggested_operators_teach_more_than_random_ones_where_a_region_is_missing():
    """A law that changes where no data are: mean error over the whole range, over six draws."""
    errors = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        pool = rng.uniform(0.1, 10, size=300)
        truth = np.where(pool > 6, 4e-3 * pool, 1e-3 * (1 + pool))
        first = np.flatnonzero(pool < 3)[:40]
        rest = np.setdiff1d(np.arange(300), first)
        chosen = rest[active.suggest(small_design(pool[first]), small_design(pool[rest]), 20).order]
        row = []
        for rows in (chosen, rng.choice(rest, 20, replace=False)):
            taught = np.concatenate([first, rows])
            model = fit_operators(small_design(pool[taught]), truth[taught], "boosting", seed=0)
            row.append(np.abs(model.predict(small_design(pool)) / truth - 1).mean())
        errors.append(row)
    active_error, random_error = np.mean(errors, axis=0)
    assert active_error < random_error


def test_too_many_or_other_operators_are_refused():
    one, many = small_design(np.ones(2)), small_design(np.ones(active.MOST + 1))
    with pytest.raises(InputError, match="draw some"):
        active.suggest(one, many, 1)
    with pytest.raises(InputError, match="weights"):
        active.suggest(one, one, 1, weight=-np.ones(2))


# Commands.


def run(*words):
    from dnnplan.cli.app import app

    return CliRunner().invoke(app, [*map(str, words)])


def test_commands_train_and_refuse(tmp_path, predictor):
    from dnnplan.costs.profile.store import ProfileTable

    columns = table(30)
    rows = [ProfileRow(**{n: columns[n][at] for n in COLUMNS}) for at in range(len(columns["key"]))]
    pytest.importorskip("pyarrow")
    ProfileTable(tmp_path / "t").append(rows)
    words = ("train", tmp_path / "t", "--output", tmp_path / "p", "--model", "linear")
    result = run(*words, "--json", "--plot", tmp_path / "p.png", "--curve", "22")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["by_module"]["conv"]["mape"] < 3
    assert len(found["curve"]) == 1
    assert (tmp_path / "p.png").stat().st_size > 1000
    again = run(*words)
    assert again.exit_code != 0
    assert "--force" in str(again.exception) + again.output
    assert "conv" in run(*words, "--force").output


def test_command_predicts_from_a_graph(tmp_path, predictor):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from tests.costs.test_profile import tiny_network

    predictor_files.save_predictor(predictor, tmp_path / "p")
    path = tmp_path / "tiny.onnx"
    onnx.save(tiny_network(), path)
    result = run("predict", tmp_path / "p", path, "--json", "--operators")
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)
    assert found["seconds"] > 0
    assert len(found["operators"]) == found["kernels"]
    assert found["flags"]
    assert "guesses" in run("predict", tmp_path / "p", path).output
    strict = run("predict", tmp_path / "p", path, "--strict")
    assert strict.exit_code != 0
