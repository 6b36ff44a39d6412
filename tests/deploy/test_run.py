"""Running split plans: what is computed, what is said, and what happens when a part fails."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, save

from dnnplan.costs.profile.setting import available_cores
from dnnplan.deploy.differences import LEAST, difference
from dnnplan.deploy.manifest import Manifest, Value
from dnnplan.deploy.run import (
    Executor,
    RunError,
    Seat,
    open_folder,
    parse_cores,
    priority,
    run,
    run_folder,
    seats,
)
from dnnplan.deploy.run import cores as seating
from dnnplan.deploy.run import executor as executing
from dnnplan.deploy.run.api import checked_pass
from dnnplan.deploy.run.guard import Guarded
from dnnplan.deploy.run.inputs import input_arrays, read_inputs
from dnnplan.deploy.run.priority import ahead_of_others
from dnnplan.deploy.run.program import make_program
from dnnplan.deploy.run.report import halves_apart
from dnnplan.deploy.run.sessions import open_session
from dnnplan.instances import InputError, Plan
from dnnplan.instances.errors import FormatError, MissingDependencyError
from dnnplan.instances.files import write_plan
from dnnplan.reports.schedule import make_schedule
from dnnplan.reports.trace import trace_text
from tests.deploy.hand_manifests import SIZE, weights, write_folder


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "parts")


@pytest.fixture
def two(monkeypatch):
    """Seats of the two devices, on machines with one core too."""
    core = available_cores()
    return {"one": Seat((core[0],)), "two": Seat((core[-1],))}


def executor_of(opened, places, *, program=None, timeout=20.0):
    inputs = input_arrays(opened.manifest)
    return Executor(program or opened.program, opened.files, places, inputs, timeout=timeout)


def test_parts_compute_what_the_original_does_and_what_numpy_does(folder, two):
    opened = open_folder(folder)
    given = {"x": np.arange(SIZE, dtype=np.float32).reshape(1, SIZE)}
    outcome = run_folder(opened, two, repeats=3, inputs=given, models={"net": folder / "original.onnx"})
    assert outcome.report.outputs_equal
    assert outcome.report.reference == "original models"
    w = weights()
    hidden = np.maximum(given["x"] @ w["w1"], 0)
    with Executor(opened.program, opened.files, two, input_arrays(opened.manifest, given)) as executor:
        executor.run()
        found = executor.outputs()["net/0/y"]
    np.testing.assert_allclose(found, hidden @ w["w2"] + hidden @ w["w3"], rtol=1e-5)


def test_the_report_has_every_segment_and_copy_with_prediction_and_order(folder, two):
    report = run_folder(open_folder(folder), two, repeats=4).report
    assert {s.name: s.device for s in report.segments} == {
        "net/0/a": "one",
        "net/0/b": "two",
        "net/0/c": "one",
    }
    times = {s.name: s for s in report.segments}
    assert times["net/0/a"].predicted == pytest.approx(2.2e-5)
    moved = {(t.value, t.source, t.target) for t in report.transfers}
    assert moved == {("net/0/m", "two", "one"), ("net/0/r", "one", "two")}
    assert all(t.predicted == pytest.approx(5e-6 + 32e-9) for t in report.transfers)
    assert report.repeats == 4
    assert report.predicted == pytest.approx(4.4064e-5)


def test_parts_start_after_what_they_read_has_come(folder, two):
    with executor_of(open_folder(folder), two) as executor:
        for _ in range(5):
            one = executor.run()
            (a, b, c), copied = (one.stamps[f"net/0/{name}"] for name in "abc"), one.copied
            assert a[2] <= b[0] <= copied["net/0/r", "two"][0] <= copied["net/0/r", "two"][1] <= b[1] <= b[2]
            assert b[2] <= c[0] <= copied["net/0/m", "one"][1] <= c[1] <= c[2]
            assert one.latency == c[2]


def test_a_copy_that_is_left_out_is_caught(folder, two):
    """Every array computed before is overwritten before a pass is checked, so old numbers cannot hide it."""
    opened = open_folder(folder)
    steps = {
        device: tuple(replace(step, copies=()) for step in own)
        for device, own in opened.program.steps.items()
    }
    broken = replace(opened.program, steps=steps)
    with executor_of(opened, two, program=broken) as executor:
        assert checked_pass(executor, executor.reference) > 1e-5
    with executor_of(opened, two) as executor:
        assert checked_pass(executor, executor.reference) == 0


def test_a_segment_that_does_not_wait_is_caught(folder, two):
    opened = open_folder(folder)
    steps = {
        device: tuple(replace(step, waits=frozenset(), tells=()) for step in own)
        for device, own in opened.program.steps.items()
    }
    with executor_of(opened, two, program=replace(opened.program, steps=steps)) as executor:
        worker = next(w for w in executor._workers if w.device == "one")
        slow = worker.actions[0].run
        worker.actions[0] = replace(worker.actions[0], run=lambda: (time.sleep(0.05), slow()))
        assert checked_pass(executor, executor.reference) > 1e-5


def test_a_worker_that_raises_stops_all_and_is_named(folder, two):
    with executor_of(open_folder(folder), two) as executor:
        worker = next(w for w in executor._workers if w.device == "two")
        worker.actions[0] = replace(worker.actions[0], run=lambda: 1 / 0)
        threads = list(executor._workers)
        with pytest.raises(RunError, match=r"segment 'net/0/b' of device 'two' fails: .*division") as caught:
            executor.run()
        assert (caught.value.segment, caught.value.device) == ("net/0/b", "two")
        assert not any(thread.is_alive() for thread in threads)
        with pytest.raises(RunError, match="stopped"):
            executor.run()


def test_a_pass_that_hangs_is_given_up(folder, two, monkeypatch):
    monkeypatch.setattr(executing, "GRACE", 0.1)
    release = threading.Event()
    with executor_of(open_folder(folder), two) as executor:
        executor.timeout = 0.2
        worker = next(w for w in executor._workers if w.device == "two")
        worker.actions[0] = replace(worker.actions[0], run=lambda: release.wait(20))
        with pytest.raises(RunError, match=r"longer than 0.2 s: .*device 'two' is in segment 'net/0/b'"):
            executor.run()
    release.set()


def endless_model(path):
    """A loop of practically no end."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node("Add", ["a", "a"], ["b"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("a", TensorProto.FLOAT, [1, SIZE]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("b", TensorProto.FLOAT, [1, SIZE]),
        ],
    )
    nodes = [
        helper.make_node("Loop", ["n", "yes", "r"], ["m"], body=body, name="right"),
    ]
    stored = [
        helper.make_tensor("n", TensorProto.INT64, [], [10**12]),
        helper.make_tensor("yes", TensorProto.BOOL, [], [True]),
    ]
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, SIZE]) for n in ("r", "m")]
    graph = helper.make_graph(nodes, "endless", info[:1], info[1:], stored)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def test_an_endless_part_is_ended(folder, two):
    """Native code is asked to end; nothing keeps a core busy afterwards."""
    opened = open_folder(folder)
    endless_model(folder / "endless.onnx")
    files = {**opened.files, "net/0/b": folder / "endless.onnx"}
    inputs = input_arrays(opened.manifest)
    with pytest.raises(RunError, match=r"segment 'net/0/b' of device 'two' takes longer than 1.5 s"):
        Executor(opened.program, files, two, inputs, timeout=1.5)
    for thread in threading.enumerate():
        if thread.name == "dnnplan-guarded":
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture
def default_interrupt() -> Iterator[None]:
    """The handler of Python itself, whatever the process that runs the tests has installed."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals of POSIX")
def test_ctrl_c_stops_the_workers(folder, two, default_interrupt):
    main = threading.main_thread().ident
    release = threading.Event()
    with executor_of(open_folder(folder), two) as executor:
        threads = list(executor._workers)
        worker = next(w for w in threads if w.device == "two")
        worker.actions[0] = replace(worker.actions[0], run=lambda: release.wait(30))

        def interrupt() -> None:
            signal.pthread_kill(main, signal.SIGINT)
            time.sleep(0.2)
            release.set()

        threading.Timer(0.05, interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            executor.run()
        assert not any(thread.is_alive() for thread in threads)


def test_the_measured_pass_is_drawn_and_traced_like_a_planned_one(folder, two):
    outcome = run_folder(open_folder(folder), two, repeats=3)
    schedule = make_schedule(outcome.evaluation)
    assert [row.name for row in schedule.used_rows] == ["one", "two", "copy"]
    assert [bar.name for bar in schedule.rows[0].bars] == ["net/0/a", "net/0/c"]
    events = json.loads(trace_text(outcome.evaluation))["traceEvents"]
    slices = {event["name"]: event for event in events if event["ph"] == "X"}
    assert set(slices) == {"a", "b", "c", "r", "m"}
    assert slices["r"]["args"]["from"] == "one"
    assert slices["b"]["ts"] >= slices["a"]["ts"] + slices["a"]["dur"]
    assert {event["name"] for event in events if event["ph"] == "s"} == {"net/0/r", "net/0/m", "net/0/l"}


def test_releases_and_earliest_starts_are_kept(folder, two, tmp_path):
    opened = open_folder(folder)
    plan = Plan(not_before={"net/0/b": 0.05})
    program = make_program(opened.manifest, opened.instance, plan)
    with executor_of(opened, two, program=program) as executor:
        assert executor.run().stamps["net/0/b"][0] >= 0.05


def test_seats_are_an_even_split_unless_named(monkeypatch):
    monkeypatch.setattr(seating, "available_cores", lambda: [0, 1, 2, 5, 6])
    assert {name: seat.cores for name, seat in seats(["a", "b"]).items()} == {"a": (0, 1, 2), "b": (5, 6)}
    found = seats(["a", "b", "c"], {"b": [2]}, {"c": "X"})
    assert [found[name].cores for name in "abc"] == [(0, 1), (2,), (5, 6)]
    assert found["c"].provider == "X"
    assert found["a"].provider == "CPUExecutionProvider"


@pytest.mark.parametrize(
    ("cores", "devices", "message"),
    [
        ({"a": [7]}, "ab", "no core 7"),
        ({"a": []}, "ab", "no cores"),
        ({"a": [1, 1]}, "ab", "twice"),
        ({"a": [0], "b": [0]}, "ab", "core 0 belongs to devices 'a' and 'b'"),
        ({"z": [0]}, "ab", "'z' is not in the manifest"),
        ({}, "abc", "2 free cores for 3 devices"),
    ],
)
def test_seats_that_cannot_be_are_refused(monkeypatch, cores, devices, message):
    monkeypatch.setattr(seating, "available_cores", lambda: [0, 1])
    with pytest.raises(InputError, match=message):
        seats(list(devices), cores)


def test_shared_cores_have_to_be_asked_for(monkeypatch):
    monkeypatch.setattr(seating, "available_cores", lambda: [0, 1])
    found = seats(list("abc"), share=True)
    assert [found[name].cores for name in "abc"] == [(0,), (1,), (0,)]


@pytest.mark.parametrize("text", ["gpu", "=1", "gpu=x", "gpu=2-1", "gpu=", "gpu=0-999999", "gpu=-1"])
def test_cores_that_cannot_be_read(text):
    with pytest.raises(InputError, match="--cores"):
        parse_cores([text])


def test_a_device_named_twice():
    with pytest.raises(InputError, match="twice"):
        parse_cores(["a=0", "a=1"])


def test_inputs_are_checked(folder):
    manifest = open_folder(folder).manifest
    right = np.zeros((1, SIZE), np.float32)
    assert input_arrays(manifest, {"net/0/x": right})["net/0/x"] is right
    for wrong, message in (
        ({"x": right.astype(np.float64)}, "type float64, expected float32"),
        ({"x": right[:, :3]}, r"shape \[1, 3\], expected \[1, 8\]"),
        ({"z": right}, "'z' is no input"),
    ):
        with pytest.raises(InputError, match=message):
            input_arrays(manifest, wrong)
    # Seeded by name: the same numbers each time.
    assert np.array_equal(input_arrays(manifest)["net/0/x"], input_arrays(manifest)["net/0/x"])


def test_input_files_hold_numbers_only(tmp_path):
    good, bad, other = tmp_path / "good.npz", tmp_path / "bad.npz", tmp_path / "other.npz"
    np.savez(good, x=np.ones(3))
    np.savez(bad, x=np.array([{}], dtype=object))
    other.write_bytes(b"not a zip")
    assert read_inputs(good)["x"].tolist() == [1, 1, 1]
    for path in (bad, other):
        with pytest.raises(FormatError, match=r"not an \.npz file"):
            read_inputs(path)


def test_a_part_that_the_runtime_does_not_take_is_named(tmp_path, two):
    folder = write_folder(tmp_path / "parts", operator={"right": "NoSuchOperator"})
    with pytest.raises(InputError, match=r"segment 'net/0/b' of device 'two': not accepted by onnxruntime"):
        run(folder, repeats=1, share_cores=True)


def test_an_unknown_provider_is_refused(folder):
    with pytest.raises(InputError, match="provider 'Nobody'"):
        open_session(folder / "part0.onnx", Seat((0,), "Nobody"), "part")


def test_folders_that_do_not_fit_together(folder):
    with pytest.raises(FormatError, match="is not a folder"):
        open_folder(folder / "nothing")
    plan = open_folder(folder).plan
    calls = {**{k: v for k, v in plan.calls.items() if k != "net/0/a"}, "other": plan.calls["net/0/a"]}
    order = {**plan.order, "one": ("other", "net/0/c")}
    write_plan(
        Plan(instance=plan.instance, placement=plan.placement, calls=calls, order=order),
        folder / "plan.json",
        overwrite=True,
    )
    with pytest.raises(FormatError, match="other calls than the manifest has segments"):
        open_folder(folder)


def test_without_instance_and_plan_it_still_runs(folder, two):
    (folder / "plan.json").unlink()
    outcome = run_folder(open_folder(folder), two, repeats=2)
    assert outcome.evaluation is None
    assert outcome.report.outputs_equal


def test_without_onnxruntime_the_error_names_the_extra(folder, monkeypatch, two):
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match=r"dnnplan\[run\]"):
        run_folder(open_folder(folder), two, repeats=1)


@pytest.mark.parametrize(("repeats", "warm_up"), [(0, 1), (1, -1)])
def test_numbers_of_passes_are_checked(folder, two, repeats, warm_up):
    with pytest.raises(InputError, match="repeats"):
        run_folder(open_folder(folder), two, repeats=repeats, warm_up=warm_up)


def test_difference_sees_shapes_and_infinities():
    ones = np.ones(3, np.float32)
    assert difference(ones, ones) == 0
    assert difference(ones, np.ones(4, np.float32)) == float("inf")
    assert difference(np.array([1, np.nan], np.float32), np.array([1, np.nan], np.float32)) == 0
    assert difference(np.array([1, np.nan], np.float32), np.array([1, 2], np.float32)) == float("inf")
    assert difference(np.array([0.0, 11.0]), np.array([0.0, 10.0])) == pytest.approx(0.1)
    infinite = np.array([np.inf, 1.0])
    assert difference(infinite, infinite) == 0
    assert difference(infinite, -infinite) == difference(infinite, np.array([np.nan, 1.0])) == float("inf")
    assert difference(np.array([2**53]), np.array([2**53 + 1])) == LEAST
    assert difference(np.array([True]), np.array([False])) == float("inf")


def test_noise_of_turns():
    assert halves_apart([1.0, 1.1, 1.0, 1.1, 1.0]) == pytest.approx(0.1)
    assert halves_apart([1.0]) == 0


def test_guarded_work_returns_raises_and_is_cancelled():
    cancelled = []
    assert Guarded(lambda: 7, lambda: None).wait(5, str) == 7
    with pytest.raises(ZeroDivisionError):
        Guarded(lambda: 1 / 0, lambda: None).wait(5, str)
    wait = threading.Event()
    ended = []

    def count() -> None:
        wait.wait(20)
        ended.append(1)

    def cancel() -> None:
        cancelled.append(1)
        wait.set()

    with pytest.raises(RunError, match=r"counting takes longer than 0\.05 s"):
        Guarded(count, cancel).wait(0.05, lambda: "counting")
    assert (cancelled, ended) == ([1], [1]), "it has ended before the caller goes on"


def test_nothing_of_the_process_changes(folder, two):
    before, threads = os.getcwd(), threading.active_count()
    cores = available_cores()
    run_folder(open_folder(folder), two, repeats=2)
    assert (os.getcwd(), threading.active_count(), available_cores()) == (before, threads, cores)


def test_sizes_that_are_not_fixed_are_the_batch_of_the_task():
    value = Value(id="net/0/x", name="x", task="net", dtype="float32", shape=("n", 3, "m"))
    manifest = Manifest(values=(value,))
    assert input_arrays(manifest)["net/0/x"].shape == (1, 3, 1)
    assert input_arrays(manifest, batch={"net": 4})["net/0/x"].shape == (4, 3, 1)


def test_going_before_others_is_undone_or_refused(monkeypatch):
    asked = []
    monkeypatch.setattr(priority, "_set", lambda policy, level: asked.append(policy) or True)
    with ahead_of_others(False) as ahead:
        assert not ahead
    assert asked == []
    with pytest.raises(ZeroDivisionError), ahead_of_others():
        asked.append(str(1 / 0))
    assert asked == ["SCHED_RR", "SCHED_OTHER"]
    monkeypatch.setattr(priority, "_set", lambda *_: False)
    with ahead_of_others(required=False) as ahead:
        assert not ahead
    with pytest.raises(InputError, match="as root"), ahead_of_others():
        pass
