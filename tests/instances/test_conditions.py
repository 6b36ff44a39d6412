"""Files of conditions: both ways to write an entry, and what is wrong with one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from dnnplan.costs.ordering.problem import ordering_problem
from dnnplan.instances import FormatError, Instance, InstanceError, Ordering, Task
from dnnplan.instances.conditions import read_conditions, with_conditions
from dnnplan.instances.sections import Condition

TASKS = ("0", "1", "b")
INSTANCE = Instance(
    objective="switching",
    tasks=tuple(Task(name=name, model="net") for name in TASKS),
    ordering=Ordering(closed=True, switch=((0, 1, 2), (3, 0, 4), (5, 6, 0))),
)


@pytest.fixture
def write(tmp_path: Path):
    def write(tree: Any) -> Path:
        path = tmp_path / "conditions.json"
        path.write_text(tree if isinstance(tree, str) else json.dumps(tree))
        return path

    return write


def test_objects_and_triples(write) -> None:
    entries = [
        {"task": "b", "given": "0", "probability": 0.25, "model": "gated"},
        {"task": 1, "probability": 1},
        [0, 1, 0.5],
        ["0", "b", 0],
        [None, "b", 1.0],
    ]
    expected = (
        Condition(task="b", given="0", probability=0.25, model="gated"),
        Condition(task="1", probability=1),
        Condition(task="1", given="0", probability=0.5),
        Condition(task="b", given="0", probability=0),
        Condition(task="b", probability=1.0),
    )
    assert read_conditions(write(entries), TASKS) == expected
    assert read_conditions(write({"conditions": entries, "note": "x"}), TASKS) == expected
    assert read_conditions(write([]), TASKS) == ()


WRONG = [
    ([[0, 1]], "conditions[0]: 2 members, expected a triple [given, task, probability]"),
    ([[0, 1, 0.5, 2]], "conditions[0]: 4 members, expected a triple [given, task, probability]"),
    ([[0, 1, 1.5]], "conditions[0].probability: 1.5, expected >= 0 and <= 1"),
    ([[0, 1, -0.5]], "conditions[0].probability: -0.5, expected >= 0 and <= 1"),
    ("[[0, 1, NaN]]", "conditions[0].probability: NaN, expected a finite number >= 0 and <= 1"),
    ("[[0, 1, Infinity]]", "conditions[0].probability: Infinity, expected a finite number >= 0 and <= 1"),
    ([[0, 1, "0.5"]], 'conditions[0].probability: "0.5", expected a number >= 0 and <= 1'),
    ([[0, 1, None]], "conditions[0].probability: null, expected a number >= 0 and <= 1"),
    ([[0, 2, 0.5]], 'conditions[0].task: "2" is not a task, expected one of "0", "1", "b"'),
    ([["x", 1, 0.5]], 'conditions[0].given: "x" is not a task, expected one of "0", "1", "b"'),
    ([[0, None, 0.5]], "conditions[0].task: null, expected a string"),
    ([[0, True, 0.5]], "conditions[0].task: true, expected a string"),
    ([[0, 1.0, 0.5]], "conditions[0].task: 1.0, expected a string"),
    ([[1, 1, 0.5]], 'conditions[0]: task "1" given itself, expected another task'),
    ([{"task": "b"}], "conditions[0].probability: missing, expected a number >= 0 and <= 1"),
    (
        [{"task": "b", "probability": 1, "modl": "gated"}],
        'conditions[0].modl: unknown key, did you mean "model"?',
    ),
    (
        [{"task": "b", "probability": 1, "model": "x"}],
        'conditions[0].model: "x", expected "gated" or "independent"',
    ),
    ([3], "conditions[0]: 3, expected an object"),
    ({"condition": []}, "no list of conditions, expected a list, or an object with the member `conditions`"),
    ("3", "no list of conditions, expected a list, or an object with the member `conditions`"),
    ("", "not JSON: the file is empty"),
]


@pytest.mark.parametrize(("tree", "message"), WRONG)
def test_what_is_wrong_is_named(write, tree: Any, message: str) -> None:
    path = write(tree)
    with pytest.raises(FormatError) as caught:
        read_conditions(path, TASKS)
    assert str(caught.value) == f"{path}: {message}"


def test_all_wrong_entries_are_listed(write) -> None:
    with pytest.raises(FormatError) as caught:
        read_conditions(write([[0, 1, 2], [0, 1, 0.5], [0, 7, 3]]), TASKS)
    assert [problem.path for problem in caught.value.problems] == [
        "conditions[0].probability",
        "conditions[2].probability",
    ]


def test_many_wrong_entries_end_soon(write) -> None:
    with pytest.raises(FormatError, match="problems"):
        read_conditions(write([[0, "wrong", 0.5]] * 50_000), TASKS)


def test_they_replace_those_of_the_instance(write) -> None:
    first = with_conditions(INSTANCE, [Condition(task="b", probability=0.5)])
    second = with_conditions(first, read_conditions(write([["0", "1", 0.25]]), TASKS))
    assert second.ordering is not None
    assert second.ordering.conditions == (Condition(task="1", given="0", probability=0.25),)
    assert INSTANCE.ordering is not None
    assert (second.ordering.closed, second.ordering.switch) == (True, INSTANCE.ordering.switch)
    ordering = replace(second.ordering, closed=False)
    open_ = replace(second, ordering=ordering)
    # With 1 the order 0, 1, b costs 1 + 4, without it 2.
    assert ordering_problem(open_).judge((0, 1, 2)).value == pytest.approx(0.25 * 5 + 0.75 * 2)
    assert with_conditions(Instance(tasks=INSTANCE.tasks), ()).ordering == Ordering()


@pytest.mark.parametrize(
    ("triples", "message"),
    [
        ([[0, 1, 0.5], [1, 0, 0.5]], 'ordering.conditions: cycle "0" -> "1" -> "0"'),
        ([[0, 1, 0.5], [0, 1, 0.25]], 'a second condition on task "1" given the same task'),
    ],
)
def test_conditions_that_do_not_fit_each_other_are_refused(write, triples: Any, message: str) -> None:
    with pytest.raises(InstanceError, match=message):
        with_conditions(INSTANCE, read_conditions(write(triples), TASKS))
