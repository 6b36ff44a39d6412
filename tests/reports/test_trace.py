"""The trace follows the trace-event format."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from report_plans import hand_evaluation, spread_evaluation

from dnnplan.reports.trace import trace_text

NAMES = ["tiny/hand", "multi/3x20x4-ccr1", "layered/50x4-ccr0.5-host", "layered/50x4-ccr0.5-live"]


def _events(evaluation, phase):
    return [e for e in json.loads(trace_text(evaluation))["traceEvents"] if e["ph"] == phase]


def test_slices_of_the_hand_made_plan():
    slices = {e["name"]: e for e in _events(hand_evaluation(), "X")}
    right = slices["right"]
    assert (right["ts"], right["dur"]) == (pytest.approx(3000), pytest.approx(5000))
    assert right["args"]["layers"] == ["hand/0/right"]
    assert right["args"]["input_bytes"] == 1000
    sent = next(e for e in slices.values() if e["args"].get("transfer") == "send hand/0/stem-out to cpu")
    assert sent["args"] | {} == {
        "network": "hand",
        "transfer": "send hand/0/stem-out to cpu",
        "kind": "send",
        "bytes": 1000.0,
        "from": "npu",
        "to": "cpu",
    }


def test_devices_and_links_are_named_threads_of_two_processes():
    names = {
        (e["pid"], e["args"]["name"]) for e in _events(hand_evaluation(), "M") if e["name"] == "thread_name"
    }
    assert names == {(1, "cpu"), (1, "npu"), (2, "bus")}


@pytest.mark.parametrize("name", NAMES)
def test_every_call_is_a_slice_and_slices_of_a_thread_do_not_overlap(name):
    evaluation = hand_evaluation() if name == "tiny/hand" else spread_evaluation(name)
    slices = _events(evaluation, "X")
    assert sum(e["pid"] == 1 for e in slices) == len(evaluation.graph.device)
    threads: dict[tuple[int, int], list[dict]] = {}
    for event in slices:
        threads.setdefault((event["pid"], event["tid"]), []).append(event)
    for own in threads.values():
        own.sort(key=lambda e: e["ts"])
        for a, b in pairwise(own):
            assert a["ts"] + a["dur"] <= b["ts"] + 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_arrows_go_forward_between_slices(name):
    evaluation = hand_evaluation() if name == "tiny/hand" else spread_evaluation(name)
    slices: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for e in _events(evaluation, "X"):
        slices.setdefault((e["pid"], e["tid"]), []).append((e["ts"], e["ts"] + e["dur"]))
    flows: dict[int, list[dict]] = {}
    for phase in "stf":
        for e in _events(evaluation, phase):
            flows.setdefault(e["id"], []).append(e)
            spans = slices[e["pid"], e["tid"]]
            assert any(a - 1e-6 <= e["ts"] <= b + 1e-6 for a, b in spans), e
    assert flows
    for events in flows.values():
        phases = [e["ph"] for e in events]
        assert phases[0] == "s"
        assert phases[-1] == "f"
        assert [e["ts"] for e in events] == sorted(e["ts"] for e in events)


def test_one_arrow_for_each_tensor_and_reader():
    starts = _events(hand_evaluation(), "s")
    # stem feeds two layers; left, right, join and head one each; image is everywhere and has no arrow.
    assert sorted(e["name"] for e in starts) == sorted(
        f"hand/0/{n}-out" for n in ("stem", "stem", "left", "right", "join", "head")
    )


def test_the_same_plan_gives_the_same_text():
    assert trace_text(hand_evaluation()) == trace_text(hand_evaluation())
