"""Costs folders: what `costs.json` may hold, and that nothing leads out of the folder."""

from __future__ import annotations

import json
import os
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnnplan.costs.filled import LayerCosts, read_costs
from dnnplan.costs.filled.folder import LOADERS, MAX_BYTES, MAX_MEMBERS
from dnnplan.costs.filled.source import ANALYTIC_ERROR, AnalyticSource
from dnnplan.instances.errors import FormatError, InputError

ROOFLINE = {"kind": "roofline", "peak": 1e9}


def write(folder: Path, devices: Any, **more: Any) -> Path:
    folder.mkdir(exist_ok=True)
    tree = {"format_version": "1.0", "devices": devices, **more}
    (folder / "costs.json").write_text(json.dumps(tree))
    return folder


@pytest.fixture
def costs(tmp_path):
    return tmp_path / "costs"


@pytest.fixture
def loads(monkeypatch):
    """Folders that a stand-in for the loader of predictors is asked for."""
    asked: list[Path] = []

    class Predictor:
        about = types.SimpleNamespace(threads=2, utilisation=0.0)

        def layer_costs(self, model, batch):
            shape = (len(model.layers), len(batch))
            return LayerCosts(seconds=np.ones(shape), spread=np.zeros(shape))

    def load(folder: Path) -> Predictor:
        asked.append(folder)
        return Predictor()

    module = types.ModuleType("stand_in_predictors")
    module.load = load  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(LOADERS, "predictor", "stand_in_predictors:load")
    return asked


def test_analytic_entries_with_and_without_errors(costs):
    sources = read_costs(write(costs, {"gpu": {**ROOFLINE, "error": 0.1, "common": 0.2}, "*": ROOFLINE}))
    gpu, rest = sources["gpu"], sources["*"]
    assert isinstance(gpu, AnalyticSource)
    assert isinstance(rest, AnalyticSource)
    assert (gpu.error, gpu.common) == (0.1, 0.2)
    assert (rest.error, rest.common) == (ANALYTIC_ERROR, 0)


def test_a_predictor_is_read_once_and_has_to_be_in_the_state_that_is_stated(costs, loads):
    entry = {"kind": "predictor", "folder": "cpu", "threads": 2, "utilisation": 0}
    (write(costs, {"big": entry, "little": dict(entry)}) / "cpu").mkdir()
    sources = read_costs(costs)
    assert sources["big"] is sources["little"]
    assert loads == [costs / "cpu"]
    with pytest.raises(
        InputError, match=r"devices.big.threads: 4, but the predictor in cpu was trained with 2"
    ):
        read_costs(write(costs, {"big": {**entry, "threads": 4}}))


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ({}, "devices: 0 entries, expected 1 to 1000"),
        ([], "devices: a list, expected an object"),
        ({"a/b": ROOFLINE}, 'key "a/b"'),
        ({"gpu": 3}, "devices.gpu: 3, expected an object"),
        ({"gpu": {}}, "devices.gpu.kind: null, expected one of roofline"),
        ({"gpu": {"kind": "rooflin", "peak": 1}}, 'did you mean "roofline"'),
        ({"gpu": {**ROOFLINE, "eror": 1}}, "devices.gpu.eror: unknown key"),
        ({"gpu": {"kind": "roofline", "peak": -1}}, "devices.gpu.peak: -1, expected > 0"),
        ({"gpu": {**ROOFLINE, "error": -1}}, "devices.gpu.error: -1, expected >= 0"),
        ({"gpu": {**ROOFLINE, "error": 4}}, "devices.gpu.error: 4, expected >= 0 and <= 3"),
        ({"gpu": {**ROOFLINE, "error": "big"}}, 'devices.gpu.error: "big", expected a number'),
        ({"gpu": {"kind": "predictor"}}, "devices.gpu.folder: missing"),
        ({"gpu": {"kind": "predictor", "folder": "cpu", "threads": 0}}, "devices.gpu.threads: 0"),
        ({"gpu": {"kind": "predictor", "folder": "cpu", "utilisation": 2}}, "devices.gpu.utilisation: 2"),
        ({"gpu": {"kind": "predictor", "folder": "cpu", "seed": 2}}, "devices.gpu.seed: unknown key"),
        *(
            ({"gpu": {"kind": "predictor", "folder": folder}}, "devices.gpu.folder")
            for folder in ("", ".", "..", "../up", "/etc", "a/b", "a\\b", "cpu\n", "-x", "~", "x" * 101, 3)
        ),
    ],
)
def test_entries_that_do_not_fit(costs, devices, message):
    with pytest.raises(InputError) as caught:
        read_costs(write(costs, devices))
    assert message in str(caught.value)
    assert "costs.json" in str(caught.value)


def test_all_problems_at_once(costs):
    bad = {"kind": "roofline", "peak": -1, "error": 9}
    with pytest.raises(InputError) as caught:
        read_costs(write(costs, {"a": {"kind": "systolic", "rows": 0}, "b": {"kind": "nothing"}, "c": bad}))
    paths = [problem.path for problem in caught.value.problems]
    assert paths == [
        "devices.a.rows",
        "devices.a.columns",
        "devices.b.kind",
        "devices.c.peak",
        "devices.c.error",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "{}",
        '{"format_version": "2.0", "devices": {"*": {"kind": "roofline", "peak": 1}}}',
        '{"format_version": "1.0", "devices": {"*": {"kind": "roofline", "peak": 1}}, "more": 1}',
        '{"format_version": "1.0", "devices": {"*": {"kind": "roofline", "peak": NaN}}}',
        '{"format_version": "1.0", "devices": {"*": {}, "*": {}}}',
        '{"format_version": "1.0", "devices": {"*": ' + '{"a":' * 5000 + "1" + "}" * 5002,
        "\udcff",
    ],
)
def test_files_that_are_not_costs(costs, text):
    costs.mkdir()
    (costs / "costs.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError):
        read_costs(costs)


def test_missing_folders_and_files_too_large(costs):
    with pytest.raises(InputError, match="not a folder"):
        read_costs(costs)
    costs.mkdir()
    with pytest.raises(FormatError, match="missing"):
        read_costs(costs)
    (costs / "costs.json").write_bytes(b" " * (MAX_BYTES + 1))
    with pytest.raises(FormatError, match="larger than"):
        read_costs(costs)


def test_links_and_devices_are_refused(costs, tmp_path, loads):
    outside = write(tmp_path / "outside", {"*": {"kind": "predictor", "folder": "cpu"}})
    (outside / "cpu").mkdir()
    costs.mkdir()
    (costs / "costs.json").symlink_to(outside / "costs.json")
    with pytest.raises(FormatError, match="a link or no file"):
        read_costs(costs)
    (costs / "costs.json").unlink()
    write(costs, {"*": {"kind": "predictor", "folder": "cpu"}})
    with pytest.raises(FormatError, match="not there"):
        read_costs(costs)
    (costs / "cpu").symlink_to(outside / "cpu")
    with pytest.raises(FormatError, match="a link, no folder"):
        read_costs(costs)
    (costs / "cpu").unlink()
    (costs / "cpu" / "deep").mkdir(parents=True)
    inner = costs / "cpu" / "deep" / "model.npz"
    inner.symlink_to("/etc/hostname")
    with pytest.raises(FormatError, match=r"model.npz: a link or a device"):
        read_costs(costs)
    inner.unlink()
    if hasattr(os, "mkfifo"):
        os.mkfifo(inner)
        with pytest.raises(FormatError, match="a link or a device"):
            read_costs(costs)
        inner.unlink()
    assert loads == []
    read_costs(costs)
    for number in range(MAX_MEMBERS):
        (costs / "cpu" / f"{number}").touch()
    with pytest.raises(FormatError, match="more than"):
        read_costs(costs)


def test_a_pipe_instead_of_the_file_does_not_block(costs):
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes here")
    costs.mkdir()
    os.mkfifo(costs / "costs.json")
    with pytest.raises(FormatError, match="no file"):
        read_costs(costs)
