"""Where the ONNX files of a plan are found."""

from __future__ import annotations

import hashlib
import os
import shutil
import time

import pytest
from msgspec.structs import replace

from dnnplan.deploy.sources import model_files
from dnnplan.instances import InputError
from tests.support.deploy_networks import (
    early_exit,
    instance_of,
    mobilenet,
    random_plan,
    saved,
)


def test_what_a_plan_carries_is_only_taken_as_it_was(case, tmp_path):
    """The path in a plan leads to nothing but the very file that was planned."""
    path, instance, plan = case
    file = tmp_path / "net.onnx"
    shutil.copy(path, file)
    entry = {"path": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    carrying = replace(plan, extensions={"models": {"net": entry}})
    assert model_files(carrying, instance) == {"net": file}
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(InputError, match=r"changed since it was planned.*--models"):
        model_files(carrying, instance)
    file.unlink()
    with pytest.raises(InputError, match="no longer there"):
        model_files(carrying, instance)
    os.mkfifo(file)
    began = time.monotonic()
    with pytest.raises(InputError, match="no longer there"):
        model_files(carrying, instance)
    assert time.monotonic() - began < 20, "it did not wait for a writer"
    for damaged in (
        {},
        {"net": 3},
        {"net": {"path": 3, "sha256": "x"}},
        {"net": {"path": "a\0b", "sha256": "x"}},
        [],
    ):
        with pytest.raises(InputError, match="--models"):
            model_files(replace(plan, extensions={"models": damaged}), instance)


def test_files_that_are_given_for_nothing(place, tmp_path):
    """What is named and not taken is a mistake: the file that the plan carries would be split in its place."""
    paths = [saved(early_exit(), tmp_path, "one"), saved(mobilenet(), tmp_path, "two")]
    instance = instance_of(paths, 2)
    carried = {
        path.stem: {"path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in paths
    }
    plan = replace(random_plan(instance, 1), extensions={"models": carried})
    for folder in ("a", "b", "empty"):
        (tmp_path / folder).mkdir()
    odd = saved(early_exit(), tmp_path / "a", "tow")
    for given in ([odd], [odd, paths[0]], [tmp_path / "empty"], [tmp_path / "empty", tmp_path]):
        with pytest.raises(InputError, match=r"has the file of no model; expected one\.onnx, two\.onnx"):
            model_files(plan, instance, given)
    first, second = (
        saved(early_exit(seed), tmp_path / folder, "one") for seed, folder in ((1, "a"), (2, "b"))
    )
    for given in ([first, second], [tmp_path / "a", second], [tmp_path / "b", tmp_path]):
        with pytest.raises(InputError, match=r"one\.onnx and .*one\.onnx are both of model one"):
            model_files(plan, instance, given)
    # One file that is named twice is one.
    assert model_files(plan, instance, [first, tmp_path / "a"]) == {"one": first, "two": paths[1]}
    models = [
        replace(model, source=f"{name}.onnx") for model, name in zip(instance.models, "xy", strict=True)
    ]
    both = [saved(early_exit(), tmp_path / "b", "x"), saved(early_exit(), tmp_path / "empty", "x")]
    with pytest.raises(InputError, match="are both of model one"):
        model_files(plan, replace(instance, models=tuple(models)), both)


def test_given_files_are_found_by_name(case, tmp_path):
    path, instance, plan = case
    for name in ("net.onnx", "other.onnx"):
        shutil.copy(path, tmp_path / name)
    assert model_files(plan, instance, [tmp_path]) == {"net": tmp_path / "net.onnx"}
    assert model_files(plan, instance, [tmp_path / "other.onnx"]) == {"net": tmp_path / "other.onnx"}
    with pytest.raises(InputError, match="no such file"):
        model_files(plan, instance, [tmp_path / "nowhere.onnx"])
    with pytest.raises(InputError, match="--models"):
        model_files(plan, instance, [tmp_path / "other.onnx", tmp_path / "other.onnx"])
