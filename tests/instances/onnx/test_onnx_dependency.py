"""The package onnx is optional, and not loaded before it is used."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from dnnplan.instances import MissingDependencyError
from dnnplan.instances.formats.onnx import light_network_paths, materialise, read_onnx


def test_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    path = light_network_paths()["alexnet"]
    monkeypatch.setitem(sys.modules, "onnx", None)  # what an absent package looks like to `import`
    for call in (lambda: read_onnx(path), lambda: materialise(path, tmp_path / "a.onnx")):
        with pytest.raises(MissingDependencyError, match=r'pip install "dnnplan\[onnx\]"'):
            call()


def test_importing_the_reader_and_finding_networks_loads_nothing_heavy():
    code = (
        "import sys; from dnnplan.instances.formats.onnx import light_network_paths; light_network_paths(); "
        "print(sorted({'onnx', 'numpy', 'google.protobuf'} & set(sys.modules)))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment()
    )
    assert process.stdout.strip() == "[]"


def test_models_do_not_depend_on_the_hash_seed():
    code = (
        "import hashlib, msgspec; from dnnplan.instances.formats.onnx import *; "
        "models = [read_onnx(p, residual=True) for p in light_network_paths().values()]; "
        "print(hashlib.sha256(msgspec.json.encode(models)).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**environment(), "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("0", "1")
    }
    assert len(digests) == 1
    assert len(digests.pop().strip()) == 64


def environment() -> dict[str, str]:
    """The environment of this process, with its import path."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
