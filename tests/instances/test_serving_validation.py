"""What is wrong with streams of samples: each rule, all at once, and what older files may say."""

from __future__ import annotations

from typing import Any

import pytest

from dnnplan.instances import Instance
from dnnplan.instances.files import loads_instance
from dnnplan.instances.json_text import print_json
from dnnplan.instances.validation import validate
from dnnplan.instances.validation.structure import decode

LAYERS = [{"name": "a", "exit": "one"}, {"name": "b", "exit": "two"}, {"name": "c"}]
TENSORS = [{"name": "x", "source": "a", "targets": ["b"]}, {"name": "y", "source": "b", "targets": ["c"]}]
NET = {"name": "net", "layers": LAYERS, "tensors": TENSORS}
PLAIN = {"name": "plain", "layers": [{"name": "a"}]}


def problems_of(stream: dict[str, Any], version: str = "1.2", **sections: Any) -> list[str]:
    tree = {
        "format_version": version,
        "models": [NET, PLAIN],
        "workload": {"streams": [{"name": "s", "task": "net", **stream}]},
        **sections,
    }
    instance, problems = decode(tree, Instance)
    return [str(problem) for problem in (validate(instance) if instance is not None else problems)]


def trace(**members: Any) -> dict[str, Any]:
    return {"kind": "trace", "times": [0, 1, 1], **members}


@pytest.mark.parametrize(
    "stream",
    [
        {"exits": {"one": 0.5, "two": 0.25, "final": 0.25}},
        {"exits": {"one": 1}},
        {"arrivals": trace(exits=["one", "", "final"])},
        {"arrivals": trace(confidences=[[0.1, 0.9]] * 3), "thresholds": {"two": 0.5}},
        {"task": "plain", "arrivals": trace(exits=["", "final", ""]), "exits": {"final": 1}},
        {"arrivals": {"kind": "mmpp", "rates": [0, 1], "dwell": [1, 1]}},
    ],
)
def test_good_streams(stream: dict[str, Any]) -> None:
    assert problems_of(stream) == []


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        ({"exits": {"one": 0.75, "two": 0.5}}, "exits: probabilities add up to 1.25, expected at most 1"),
        ({"exits": {"three": 0.5}}, 'exits.three: "three" is not an exit of its model, expected one of'),
        ({"task": "plain", "exits": {"one": 0.5}}, 'exits.one: "one" is not an exit of its model'),
        (
            {"thresholds": {"final": 0.5}},
            'thresholds.final: "final" is not an exit of its model before the last, expected one of "one", "two"',
        ),
        (
            {"arrivals": trace(exits=["one", "on", ""])},
            'arrivals.exits[1]: "on" is not an exit of its model, did you mean "one"?',
        ),
        ({"arrivals": trace(exits=["one"])}, "arrivals.exits: 1 of 3 samples, expected one for each time"),
        (
            {"arrivals": trace(confidences=[[1, 1], [1], [1, 1]]), "thresholds": {"one": 1}},
            "arrivals.confidences[1]: 1 numbers, expected 2, one for each exit of its model before the last",
        ),
        (
            {"arrivals": trace(confidences=[[1, 1]]), "thresholds": {"one": 1}},
            "arrivals.confidences: 1 of 3 samples, expected one for each time",
        ),
        ({"arrivals": trace(confidences=[[1, 1]] * 3)}, "thresholds: missing, expected the confidence"),
        (
            {"arrivals": trace(exits=[""] * 3, confidences=[[1, 1]] * 3), "thresholds": {"one": 1}},
            "arrivals.confidences: given beside `exits`, expected one of the two",
        ),
        (
            {"arrivals": {"rate": 1, "exits": ["one"]}},
            "arrivals.exits: given for poisson arrivals, expected them for a trace only",
        ),
        (
            {"arrivals": {"kind": "trace"}},
            "arrivals.times: missing, expected the times of the trace in seconds",
        ),
        (
            {"arrivals": {"kind": "trace", "times": [0, 2, 1, 0]}},
            "arrivals.times[2]: not in order: 1 after 2, expected times that do not decrease",
        ),
        (
            {"arrivals": {"kind": "mmpp", "rates": [0, 0], "dwell": [1, 1]}},
            "arrivals.rates: 0 in every state, expected samples in one of them at least",
        ),
    ],
)
def test_each_rule_has_a_clear_message(stream: dict[str, Any], message: str) -> None:
    found = problems_of(stream)
    assert len(found) == 1
    assert found[0].startswith(f"workload.streams[0].{message}")


def test_all_problems_come_at_once() -> None:
    found = problems_of(
        {
            "exits": {"one": 0.75, "four": 0.75},
            "thresholds": {"x": 1},
            "arrivals": trace(times=[3, 2], exits=["q"], confidences=[[1]]),
        }
    )
    assert [text.split(":")[0].removeprefix("workload.streams[0].") for text in found] == [
        "exits.four",
        "thresholds.x",
        "arrivals.exits[0]",
        "arrivals.confidences[0]",
        "exits",
        "arrivals.times[1]",
        "arrivals.exits",
        "arrivals.confidences",
        "arrivals.confidences",
    ]


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_older_files_may_name_exits_of_networks_that_have_none(version: str) -> None:
    stream = {"task": "plain", "exits": {"one": 0.5}}
    assert problems_of(stream, version) == []
    assert len(problems_of(stream)) == 1
    assert len(problems_of({"exits": {"three": 0.5}}, version)) == 1


def test_sizes_in_tables_are_whole_numbers() -> None:
    keys = ("0", "-1", "1.5", "01", "x", "９", "9" * 5000)
    tables = {"batch_energy": {"one": dict.fromkeys(keys, 1)}}
    found = problems_of({}, costs=tables)
    assert len(found) == len(keys)
    assert all(text.endswith("expected a batch size (a positive integer)") for text in found)


def test_a_device_needs_no_peak_rate_beside_an_analytic_model_or_tables_of_stages() -> None:
    models = [{"name": "net", "layers": [{"name": "a", "flops": 10}]}]
    bare = {"devices": [{"name": "npu"}]}
    assert len(problems_of({}, models=models, platform=bare)) == 1
    analytic = {"devices": [{"name": "npu", "analytic": {"kind": "any"}}]}
    assert problems_of({}, models=models, platform=analytic) == []
    costs = {"batch_latency": {"final": {"1": 1}}}
    assert problems_of({}, models=models, platform=bare, costs=costs) == []


def test_an_analytic_model_is_an_object() -> None:
    devices = [{"name": "npu", "analytic": [1]}]
    assert problems_of({}, platform={"devices": devices}) == [
        "platform.devices[0].analytic: a list, expected an object or null"
    ]


def test_a_written_stream_reads_back() -> None:
    tree = {
        "format_version": "1.2",
        "models": [NET],
        "workload": {
            "parking": "memory",
            "streams": [
                {
                    "name": "s",
                    "task": "net",
                    "thresholds": {"one": -0.5},
                    "arrivals": trace(confidences=[[0, 1], [2.5, 1], [0, 0]]),
                }
            ],
        },
    }
    text = print_json(tree)
    instance = loads_instance(text)
    assert instance.workload is not None
    assert instance.workload.streams[0].arrivals.confidences[1] == (2.5, 1)
    assert instance.workload.parking == "memory"
