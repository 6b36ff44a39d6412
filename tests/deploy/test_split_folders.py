"""Folders that `split` writes: whole, or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from dnnplan.deploy import split as splitting
from dnnplan.deploy.split import split
from dnnplan.deploy.writing import whole_folder
from dnnplan.instances import InputError
from dnnplan.instances.files import write_instance, write_plan


def test_folders_that_are_not_free(case, tmp_path):
    path, instance, plan = case
    files, target = {"net": path}, tmp_path / "parts"
    split(plan, instance, files, target)
    with pytest.raises(InputError, match="not empty"):
        split(plan, instance, files, target)
    split(plan, instance, files, target, overwrite=True)
    (target / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"thesis\.tex"):
        split(plan, instance, files, target, overwrite=True)
    assert (target / "thesis.tex").exists()
    (tmp_path / "file").write_text("x")
    for bad in (tmp_path / "file", tmp_path / "no" / "where"):
        with pytest.raises(InputError):
            split(plan, instance, files, bad, overwrite=True)
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(InputError):
        split(plan, instance, files, tmp_path / "link", overwrite=True)
    (tmp_path / "empty").mkdir()
    split(plan, instance, files, tmp_path / "empty")


def test_two_threads_write_into_folders_of_their_own(tmp_path):
    """One process may write the same folder twice at once: the last one stays, and it is whole."""
    refused = []

    def other() -> None:
        try:
            with whole_folder(tmp_path / "parts") as theirs:
                (theirs / "theirs").write_text("2")
        except OSError as error:
            refused.append(error)

    with whole_folder(tmp_path / "parts", overwrite=True) as mine:
        (mine / "mine").write_text("1")
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert [path.name for path in (tmp_path / "parts").glob("t*")] == ["theirs"]
    assert refused == []
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == [".written-by-dnnplan", "mine"]
    assert [path.name for path in tmp_path.iterdir()] == ["parts"]


def test_nothing_is_left_after_an_error(case, tmp_path, monkeypatch):
    path, instance, plan = case
    calls = []

    def fail(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise OSError("no space left")
        return written(*arguments)

    written = splitting.write_model
    monkeypatch.setattr(splitting, "write_model", fail)
    with pytest.raises(OSError, match="no space"):
        split(plan, instance, {"net": path}, tmp_path / "parts")
    assert list(tmp_path.iterdir()) == []


SLOW_SPLIT = """
import sys, time
from dnnplan.deploy import split as splitting
from dnnplan.instances.files import read_instance, read_plan
real = splitting.write_model
def slow(*arguments):
    found = real(*arguments)
    print("part", flush=True)
    time.sleep(30)
    return found
splitting.write_model = slow
folder = sys.argv[1]
instance, plan = read_instance(folder + "/instance.json"), read_plan(folder + "/plan.json")
splitting.split(plan, instance, {"net": sys.argv[2]}, folder + "/parts")
"""


def test_a_killed_split_leaves_no_half_folder(case, tmp_path):
    """Not under its name, even when it had no chance to clean up."""
    path, instance, plan = case
    write_instance(instance, tmp_path / "instance.json")
    write_plan(plan, tmp_path / "plan.json")
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_SPLIT, str(tmp_path), str(path)],
        stdout=subprocess.PIPE,
        env=os.environ.copy(),
    )
    assert process.stdout.readline() == b"part\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "parts").exists()
    split(plan, instance, {"net": path}, tmp_path / "parts")
