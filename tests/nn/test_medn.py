"""MEDN: training by PyTorch, inference by numpy, files, and its place in the choice of models."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from dnnplan.costs.predict.medn import standardised
from dnnplan.costs.predict.medn_files import load_medn, save_medn
from dnnplan.costs.predict.medn_torch import MednSettings, forward
from dnnplan.costs.predict.medn_train import fit_medn
from dnnplan.costs.predict.models import regression_rows
from dnnplan.costs.predict.module_files import load_modules, save_modules
from dnnplan.costs.predict.module_fit import assembled, fit_kinds
from dnnplan.costs.predict.modules import module_designs
from dnnplan.costs.predict.selection import select_models
from dnnplan.costs.predict.tables import Operators
from dnnplan.instances.errors import FormatError, InputError

torch = pytest.importorskip("torch")
SMALL = MednSettings(members=2, width=24, decoder=8, batch=32, epochs=60, rate=0.01)


def wavy(rows=240, seed=0):
    """Two modules whose latency has the same smooth bend over x that no line and no straight logarithm has."""
    rng = np.random.default_rng(seed)
    kind = np.where(np.arange(rows) % 3 == 0, "a", "b")
    x, y = rng.uniform(1, 64, rows), rng.uniform(1, 8, rows)
    bend = 1 + 0.8 * np.sin(x / 8)
    seconds = 1e-5 * np.where(kind == "a", 1.0, 3 * y) * bend
    columns = {"x": x, "y": np.where(kind == "a", np.nan, y)}
    return module_designs(Operators(np.full(rows, ""), kind, np.full(rows, ""), columns, seconds))


@pytest.fixture(scope="module")
def modules():
    return wavy()


@pytest.fixture(scope="module")
def network(modules):
    return fit_medn(modules, settings=SMALL)


def test_numpy_gives_what_torch_gives(network, modules):
    heads = list(network.heads.values())
    parameters = {"start": torch.from_numpy(np.stack([head.start for head in heads], axis=1))}
    for at, layer in enumerate(network.encoder):
        parameters[f"encoder.{at}.weight"] = torch.from_numpy(layer.weight)
        parameters[f"encoder.{at}.bias"] = torch.from_numpy(layer.bias)
    for at in range(2):
        for part in ("weight", "bias"):
            stacked = np.stack([getattr(head.layers[at], part) for head in heads], axis=1)
            parameters[f"decoder.{at}.{part}"] = torch.from_numpy(stacked.reshape(-1, *stacked.shape[2:]))
    for index, (name, (design, _)) in enumerate(modules.items()):
        head = heads[index]
        own = standardised(head, regression_rows(design, head.line.predict(design.work, design.group)))
        rows = np.zeros((2, len(heads), len(own), len(network.inputs) + 1), np.float32)
        at = [network.inputs.index(feature) for feature in head.names]
        rows[:, index][:, :, [*at, -1]] = own
        with torch.no_grad():
            found = forward(torch, parameters, torch.from_numpy(rows))[:, index].numpy()
        assert network.outputs(name, own) == pytest.approx(found, abs=1e-5)


def test_training_is_the_same_for_a_seed_and_leaves_torch_alone(modules, network):
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    again, other = fit_medn(modules, settings=SMALL), fit_medn(modules, seed=1, settings=SMALL)
    design = modules["a"][0]
    assert (again.predict("a", design) == network.predict("a", design)).all()
    assert (other.predict("a", design) != network.predict("a", design)).any()
    assert torch.get_num_threads() == threads
    assert (torch.get_rng_state() == state).all()


def test_it_learns_what_modules_share(network):
    for name, (design, seconds) in wavy(seed=1).items():
        line = network.heads[name].line.predict(design.work, design.group)
        error = np.abs(network.predict(name, design) / seconds - 1).mean()
        assert error < 0.5 * np.abs(np.exp(line) / seconds - 1).mean()


def test_ranges_and_unknown_modules(network, modules):
    design = modules["a"][0]
    assert not network.out_of_range("a", design).any()
    assert network.out_of_range("a", replace(design, values=-design.values)).all()
    with pytest.raises(InputError, match="module"):
        network.predict("c", design)
    with pytest.raises(InputError, match="features"):
        network.predict("b", design)
    with pytest.raises(InputError, match="a: 3"):
        fit_medn({"a": (design.take(np.arange(3)), modules["a"][1][:3])})
    with pytest.raises(InputError, match="none"):
        fit_medn({})


def test_files_round_trip(network, modules, tmp_path):
    path = tmp_path / "medn.npz"
    assert save_medn(network, path) == path.stat().st_size
    again = load_medn(path)
    for name, (design, _) in modules.items():
        assert (again.predict(name, design) == network.predict(name, design)).all()
    assert save_medn(network.only(["b"]), path) < save_medn(network, tmp_path / "both.npz")
    assert (load_medn(tmp_path / "both.npz").predict("b", design) == network.predict("b", design)).all()


def header(change):
    def new(raw):
        return np.frombuffer(json.dumps(change(json.loads(raw.tobytes()))).encode(), dtype=np.uint8)

    return new


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("encoder.0.weight", lambda a: a[:, :-1]),
        ("encoder.0.weight", lambda a: a * np.float32("nan")),
        ("encoder.0.weight", lambda a: a[:0]),
        ("encoder.0.weight", lambda a: a[0]),
        ("encoder.1.bias", lambda a: a.astype(float)),
        ("encoder.1.weight", lambda a: a[:1]),
        ("0.decoder.1.weight", lambda a: np.repeat(a, 2, axis=2)),
        ("0.start", lambda a: a[:, 0]),
        ("0.spread", lambda a: 0 * a),
        ("0.target", lambda a: -a),
        ("0.low", lambda a: a[1:]),
        ("1.line.coefficients", lambda a: -a - 1),
        ("header", np.frombuffer(b"[[", dtype=np.uint8)),
        ("header", np.array([{}], dtype=object)),
        ("header", header(lambda h: h | {"encoder": 3})),
        ("header", header(lambda h: h | {"encoder": 10**9})),
        ("header", header(lambda h: h | {"inputs": h["inputs"][::-1][:1] * len(h["inputs"])})),
        ("header", header(lambda h: h | {"modules": h["modules"][:1] * 2})),
        ("header", header(lambda h: h | {"modules": []})),
        ("header", header(lambda h: h | {"version": "dnnplan-medn-0"})),
    ],
)
def test_damaged_files_are_refused(network, tmp_path, name, array):
    path = tmp_path / "medn.npz"
    save_medn(network, path)
    with np.load(path) as found:
        arrays = {key: found[key] for key in found.files}
    arrays[name] = array(arrays[name]) if callable(array) else array
    np.savez_compressed(path, **arrays)
    with pytest.raises(FormatError):
        load_medn(path)


def test_files_with_changed_bytes_are_refused_or_finite(network, modules, tmp_path):
    path, refused = tmp_path / "medn.npz", 0
    save_medn(network, path)
    raw, rng = path.read_bytes(), np.random.default_rng(8)
    for _ in range(60):
        changed = bytearray(raw)
        for at in rng.integers(0, len(raw), 3):
            changed[at] = rng.integers(256)
        path.write_bytes(changed)
        try:
            assert np.isfinite(load_medn(path).predict("a", modules["a"][0])).all()
        except (FormatError, InputError):
            refused += 1
    assert refused > 30


def test_huge_weights_give_finite_seconds(network, modules):
    layers = tuple(replace(layer, weight=layer.weight * np.float32(1e25)) for layer in network.encoder)
    wild = replace(network, encoder=layers)
    assert np.isfinite(wild.predict("a", modules["a"][0])).all()


def test_it_is_chosen_where_it_is_better_and_shared_in_a_folder(modules, tmp_path):
    found = select_models(modules, kinds=("linear", "lasso", "medn"), folds=2, settings=SMALL)
    assert set(found.model.kinds.values()) == {"medn"}
    save_modules(found.model, tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["medn.npz", "modules.json"]
    again = load_modules(tmp_path)
    for name, (design, _) in modules.items():
        assert (again.predict(name, design) == found.model.predict(name, design)).all()
        assert not again.out_of_range(name, design).any()


def test_blends_are_means_of_logarithms(modules, tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("lightgbm")
    fitted = fit_kinds(modules, ("ensemble", "medn", "medn+ensemble"), 0, SMALL)
    design = modules["b"][0]
    parts = [fitted[kind].predict("b", design) for kind in ("ensemble", "medn")]
    model = assembled({"a": "ensemble", "b": "medn+ensemble"}, fitted)
    assert model.predict("b", design) == pytest.approx(np.sqrt(parts[0] * parts[1]))
    save_modules(model, tmp_path)
    again = load_modules(tmp_path)
    assert list(again.medn.heads) == ["b"]
    assert (again.predict("b", design) == model.predict("b", design)).all()
