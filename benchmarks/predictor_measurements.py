"""Measurements of latency models: published tables, and this machine."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.case import Measured
from benchmarks.data import data_folder, rows
from benchmarks.networks import build_mobilenet_v2, build_recurrent, build_vit
from benchmarks.suites.predictors import PHONES, TABLES
from dnnplan.costs.analytic import SystolicArray, Work, model_from, work_of
from dnnplan.costs.predict import (
    evaluate_cpu_settings,
    evaluate_networks,
    evaluate_operators,
    fit_networks,
    fit_operators,
)
from dnnplan.costs.predict.active import suggest
from dnnplan.costs.predict.compose import network_terms
from dnnplan.costs.predict.cpu_evaluate import is_gpu
from dnnplan.costs.predict.evaluate import common_networks, processor_seconds
from dnnplan.costs.predict.features import qed_usc_design
from dnnplan.costs.predict.kernels import PHONES as FAMILY_OF
from dnnplan.costs.predict.kernels import kernel_classes, rule_set
from dnnplan.costs.predict.layouts import qed_usc_targets, read_neusight, read_qed_usc, read_qed_usc_networks
from dnnplan.costs.predict.tables import Operators
from dnnplan.costs.profile import (
    Effort,
    ProfileTable,
    Ranges,
    Setting,
    network_kernels,
    profile_networks,
    profile_samples,
)
from dnnplan.costs.runtime.files import save_predictor
from dnnplan.costs.runtime.training import train
from dnnplan.instances import Layer, Model
from dnnplan.instances.formats.onnx.bundled import light_network_paths
from dnnplan.instances.formats.onnx.dependency import require_onnx
from dnnplan.instances.formats.onnx.materialise import materialise

OPS, WHOLE = f"{TABLES}/tflite_cnn_ops_gpu.csv.gz", f"{TABLES}/tflite_cnn_e2e.csv.gz"
E2E = {"mi8se": 2.2, "pixel4": 3.5, "iphonexs": 3.6}
"""Mean errors in percent to reach when trained on 71 networks; on 30, `LESS` times as much."""
LESS = 1.4
SEEDS = 10
MEDIAN, WORST = 4.0, 8.0
GPU_ERROR = 8.0
RATE, WARM = 200_000.0, 1e-3
MACHINE = {1: 8.0, 2: 12.0}
"""Mean errors in percent to reach on this machine, by threads."""
SAMPLED = 540.0
"""Seconds of sampling for each number of threads; 20 minutes for both are allowed."""
ROUNDS = 3
MODULE_SECONDS, MODULE_ROWS, LEAST_ROWS, LEAST_MODULES = 300.0, 800, 500, 5
MODULE_SEEDS, DRAWS = 3, 6


def measure(name: str) -> Measured:
    """Run one of the measurements; what follows a colon says on what."""
    kind, _, rest = name.partition(":")
    return MEASUREMENTS[kind](rest)


def scale_sim(_: str) -> Measured:
    """Layers whose cycles on a systolic array equal those that SCALE-Sim counted."""
    equal = total = 0
    every = [row for row in rows("scalesim/scalesim_compute_cycles_32x32.csv") if row["scalesim_cycles"]]
    for network, dataflow in sorted({(row["network"], row["dataflow"]) for row in every}):
        mine = [row for row in every if (row["network"], row["dataflow"]) == (network, dataflow)]
        work = _topology(network)
        array = model_from({"kind": "systolic", "rows": 32, "columns": 32, "dataflow": dataflow})
        assert isinstance(array, SystolicArray)
        cycles = dict(zip(work.names, array.cycles(work).tolist(), strict=True))
        equal += sum(cycles[row["layer"]] == float(row["scalesim_cycles"]) for row in mine)
        total += len(mine)
    return Measured(
        equal, "layers", total, equal == total > 0, f"of {total}; output, weight and input stationary"
    )


def _topology(network: str) -> Work:
    """The layers of a topology of SCALE-Sim as products: output pixels, window, filters."""
    layers = []
    for row in rows(f"scalesim/topologies_clean/{network}.csv"):
        height, width, tall, wide, channels, filters, stride = (int(row[c]) for c in [*row][1:8])
        grid = [-(-(size - k + stride) // stride) for size, k in ((height, tall), (width, wide))]
        ends = [
            (g - 1) * stride + k - size
            for g, k, size in zip(grid, (tall, wide), (height, width), strict=True)
        ]
        layers.append(
            Layer(
                name=row["Layer name"],
                op="Conv",
                flops=2 * math.prod(grid) * tall * wide * channels * filters,
                attributes={
                    "input_shapes": [[1, channels, height, width]],
                    "output_shapes": [[1, filters, *grid]],
                    "kernel": [tall, wide],
                    "strides": [stride, stride],
                    "pads": [0, 0, *ends],
                    "dilations": [1, 1],
                    "group": 1,
                    "weight_shape": [filters, channels, tall, wide],
                },
            )
        )
    return work_of(Model(name=network, layers=tuple(layers)))


def kernel_rule(_: str) -> Measured:
    """Convolutions whose kernel the rule names as it was recorded, on the open phones."""
    equal = total = 0
    for phone in PHONES:
        ops = read_qed_usc(data_folder() / OPS, f"{phone}|gpu|float")
        same = rule_set("tflite-2.10-gpu").classes(ops, FAMILY_OF[phone]) == kernel_classes(ops.kernel)
        convolutions = ops.kind == "CONV_2D"
        equal += int(same[convolutions].sum())
        total += int(convolutions.sum())
    return Measured(equal, "rows", total, equal == total, f"of {total} on {len(PHONES)} phones")


def phone(rest: str) -> Measured:
    """Mean error end to end on networks that were not trained on, over ten splits."""
    name, _, count = rest.rpartition("-")
    target = f"{name}|gpu|float"
    found = evaluate_networks(
        read_qed_usc(data_folder() / OPS, target),
        read_qed_usc_networks(data_folder() / WHOLE, target),
        train_networks=int(count),
        seeds=SEEDS,
    )
    most = E2E[name] * (1.0 if count == "71" else LESS)
    late = [row["e2e_mape"] for row in found["by_seed"] if row["seed"] >= 4]
    note = (
        f"operators {found['op_mape']:.1f} %, within 5 % {found['hit_5']:.0f} %, within 10 % {found['hit_10']:.0f} %; "
        f"seeds 4 to 9, which guided nothing, {np.mean(late):.2f} %"
    )
    return Measured(found["e2e_mape"], "%", most, found["e2e_mape"] <= most, note)


def cpu_settings(_: str) -> Measured:
    """Median over the settings of cores and number formats of the mean error end to end."""
    whole = data_folder() / WHOLE
    targets = [t for t in qed_usc_targets(whole) if t.split("|")[0] in PHONES and not is_gpu(t)]
    found = evaluate_cpu_settings(data_folder() / OPS, whole, targets=targets, seeds=SEEDS)
    median, worst = found["median_mape"], found["worst_mape"]
    note = f"worst of {len(targets)} settings {worst:.2f} % ({found['worst']}), to reach {WORST:g} %"
    return Measured(median, "%", MEDIAN, median <= MEDIAN and worst <= WORST, note)


def gpu(operator: str) -> Measured:
    """Mean error of an operator on five GPUs, a fifth of the shapes held out, over three splits."""
    table = read_neusight([data_folder() / f"latency/neusight_gpu_ops/{operator}_train.csv.gz"])
    errors = [evaluate_operators(table, None, seed=seed)["by_operator"][operator] for seed in range(3)]
    mean = float(np.mean([row["op_mape"] for row in errors]))
    each = ", ".join(f"{row['op_mape']:.2f}" for row in errors)
    return Measured(
        mean, "%", GPU_ERROR, mean <= GPU_ERROR, f"splits {each} %; {errors[0]['test_rows']} rows tested"
    )


def active(phone_name: str) -> Measured:
    """Mean error of operators after measuring those that are suggested; reached if below a random choice.

    100 operators of a phone are measured, 60 more are taken of 2,500; 1,500 others judge, over six draws.
    """
    ops = read_qed_usc(data_folder() / OPS, f"{phone_name}|gpu|float")
    design = qed_usc_design(ops)
    suggested: list[float] = []
    random: list[float] = []
    for seed in range(DRAWS):
        order = np.random.default_rng(seed).permutation(len(ops))
        test, first, pool = order[:1500], order[1500:1600], order[1600:4100]
        found = suggest(design.take(first), design.take(pool), 60, targets=design.take(test))
        for errors, chosen in ((suggested, pool[found.order]), (random, pool[:60])):
            taught = np.concatenate([first, chosen])
            model = fit_operators(design.take(taught), ops.latency[taught], "boosting", seed=0)
            errors.append(
                100 * float(np.abs(model.predict(design.take(test)) / ops.latency[test] - 1).mean())
            )
    mean, other = float(np.mean(suggested)), float(np.mean(random))
    better = sum(a < b for a, b in zip(suggested, random, strict=True))
    return Measured(
        mean, "%", other, mean < other, f"random {other:.2f} %; better in {better} of {DRAWS} draws"
    )


def speed(_: str) -> Measured:
    """Operators predicted a second in a batch on one thread, and the time of one network, from shapes to seconds."""
    target = "mi8se|gpu|float"
    ops = read_qed_usc(data_folder() / OPS, target)
    names, seconds = common_networks(ops, read_qed_usc_networks(data_folder() / WHOLE, target))
    design = qed_usc_design(ops)
    model = fit_networks(ops, design, names[:71], seconds[:71], "boosting", 0)
    many = design.take(np.resize(np.arange(len(ops)), 50_000))
    rate = len(many) / processor_seconds(lambda: model.operators.predict(many))
    warm = {}
    for name in names:
        one = ops.take(ops.network == name)

        def network(one: Operators = one, name: str = str(name)) -> Any:
            small = qed_usc_design(one)
            seconds_of = model.operators.predict(small)
            terms = network_terms(np.array([name]), one.network, small.group, seconds_of)
            return model.composition.predict(terms)

        warm[str(name)] = processor_seconds(network, seconds=0.15)
    slowest = max(warm, key=lambda name: warm[name])
    count = int((ops.network == slowest).sum())
    note = (
        f"one network from shapes to seconds: median {1e3 * float(np.median(list(warm.values()))):.2f} ms, "
        f"slowest {1e3 * warm[slowest]:.2f} ms ({slowest}, {count} operators)"
    )
    return Measured(rate, "operators/s", RATE, rate >= RATE and warm[slowest] <= WARM, note)


def this_machine(threads: str) -> Measured:
    """Mean error end to end on twelve networks, trained on sampled operators only.

    Networks are measured in rounds before, between and after the samples, and the median over rounds counts: the
    machine is not equally fast all the time, and what it is in one minute is no property of a network.
    """
    setting = Setting(int(threads))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = test_networks(folder)
        samples = ProfileTable(folder / "samples")
        whole: dict[str, list[float]] = {path.stem: [] for path in paths}
        spent = 0.0
        for number in range(ROUNDS):
            _measure_round(paths, folder / f"round-{number}", setting, whole)
            if number < ROUNDS - 1:
                start = time.monotonic()
                profile_samples(samples, [setting], seconds=SAMPLED / (ROUNDS - 1), seed=number)
                spent += time.monotonic() - start
        result = train(samples.read(), threads=setting.threads)
        size = save_predictor(result.predictor, folder / "predictor")
        errors = {}
        for path in paths:
            predicted = result.predictor.predict_network(network_kernels(path)).seconds
            errors[path.stem] = float(100 * (predicted / np.median(whole[path.stem]) - 1))
    noise = 100 * float(np.mean([np.std(times) / np.mean(times) for times in whole.values()]))
    mape = float(np.mean(np.abs(list(errors.values()))))
    each = ", ".join(f"{stem} {error:+.1f}" for stem, error in errors.items())
    kernels = result.predictor.about.kernels
    note = (
        f"{kernels} kernels sampled in {spent / 60:.1f} min; {each} %; rounds differ by {noise:.1f} %; "
        f"predictor {size / 1e6:.2f} MB"
    )
    return Measured(mape, "%", MACHINE[setting.threads], mape <= MACHINE[setting.threads], note)


def test_networks(folder: Path) -> list[Path]:
    """The nine networks of the `onnx` package with weights, and MobileNetV2, ViT and LSTM."""
    paths = [materialise(path, folder / f"{name}.onnx") for name, path in light_network_paths().items()]
    onnx = require_onnx()
    built: dict[str, Callable[[], Any]] = {
        "mobilenet-v2": build_mobilenet_v2,
        "vit": build_vit,
        "lstm": build_recurrent,
    }
    for name, build in built.items():
        paths.append(folder / f"{name}.onnx")
        onnx.save(build(), paths[-1])
    return paths


def _measure_round(paths: list[Path], folder: Path, setting: Setting, whole: dict[str, list[float]]) -> None:
    table = ProfileTable(folder)
    profile_networks(paths, table, [setting], effort=Effort(warm_up=2, least=9, most=60, seconds=0.8))
    columns = table.read()
    for at, scope in enumerate(columns["scope"]):
        if scope == "network":
            whole[columns["network"][at]].append(columns["seconds"][at])


def modules(_: str) -> Measured:
    """Accuracy of the selection over that of the best single regressor, in points, on operators held out.

    The table is made here: sampled operators at batches 1, 2 and 4, 1 and 2 threads, without and with load.
    """
    from dnnplan.costs.predict.regressors import OVERALL, SELECTION, compare_regressors
    from dnnplan.costs.runtime.design import runtime_design
    from dnnplan.costs.runtime.tables import profiled

    settings = [Setting(t, b, u) for u in (0.0, 0.5) for t in (1, 2) for b in (1, 2, 4)]
    with tempfile.TemporaryDirectory() as name:
        table = ProfileTable(Path(name) / "modules")
        small = Ranges(macs=6e7, largest=6e7)
        effort = Effort(warm_up=1, least=6, most=18, seconds=0.1)
        profile_samples(table, settings, seconds=MODULE_SECONDS, ranges=small, effort=effort, seed=99)
        found = profiled(table.read())
    rng = np.random.default_rng(0)
    inputs = ("threads", "utilisation")
    chosen = {}
    labels = {}
    for module, ops in found.modules.items():
        if len(ops) >= LEAST_ROWS:
            ops = ops.take(np.sort(rng.permutation(len(ops))[:MODULE_ROWS]))
            chosen[module] = (runtime_design(module, ops, inputs), ops.latency)
            labels[module] = ops.network
    result = compare_regressors(chosen, range(MODULE_SEEDS), labels=labels)
    overall = {row["regressor"]: row for row in result["records"] if row["module"] == OVERALL}
    singles = {name: row for name, row in overall.items() if name != SELECTION}
    best = max(singles, key=lambda name: singles[name]["accuracy"])
    gain = next(row for row in result["differences"] if row["regressor"] == best)
    enough = len(chosen) >= LEAST_MODULES
    texts = [
        f"{name} {row['accuracy']:.2f} [{row['accuracy_low']:.2f}, {row['accuracy_high']:.2f}] %, R2 {row['r2']:.4f}, "
        f"{row['microseconds']:.1f} us, {row['bytes'] / 1000:.0f} KB"
        for name, row in sorted(overall.items(), key=lambda item: -item[1]["accuracy"])
    ]
    sizes = ", ".join(f"{module} {len(seconds)}" for module, (_, seconds) in chosen.items())
    least = f"over {best}, least of {MODULE_SEEDS} splits {gain['accuracy_least']:+.2f}"
    note = f"{least}; {sizes} operators; {'; '.join(texts)}"
    reached = enough and gain["accuracy_least"] >= 0 and gain["accuracy"] > 0
    return Measured(gain["accuracy"], "points", 0.0, reached, note)


MEASUREMENTS: dict[str, Callable[[str], Measured]] = {
    "scale-sim": scale_sim,
    "kernel-rule": kernel_rule,
    "phone": phone,
    "cpu-settings": cpu_settings,
    "gpu": gpu,
    "active": active,
    "speed": speed,
    "this-machine": this_machine,
    "modules": modules,
}
