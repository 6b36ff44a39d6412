"""Validation of the sections of grouping and ordering: one clear message for each rule; what 1.0 may leave open."""

from __future__ import annotations

from typing import Any

import pytest

from dnnplan.instances import Instance
from dnnplan.instances.validation import validate
from dnnplan.instances.validation.structure import decode

TASKS = [{"name": name, "model": "net"} for name in "abc"]
SHARING: dict[str, Any] = {
    "branch_points": ["p", "q"],
    "affinity": [[[1, 0.5, 0.25], [0.5, 1, -0.75], [0.25, -0.75, 1]]] * 2,
    "stem": {"bytes": 1},
    "blocks": [{"bytes": 2}, {"bytes": 3, "compute": 1}],
    "head": {"bytes": 4, "costs": {"b": {"load": 2}}},
    "groups": [[["a", "c"], ["b"]], [["c"], ["a"], ["b"]]],
}
ORDERING: dict[str, Any] = {
    "switch": [[0, -1, 2], [None, 0, 2.5], [3, 1, 0]],
    "resources": [[1, 0, 1], [0, 1, 0], [0, 0, 0]],
    "slots": 2,
}


def problems_of(version: str = "1.1", **sections: Any) -> list[str]:
    instance, problems = decode({"format_version": version, "tasks": TASKS, **sections}, Instance)
    if instance is not None:
        problems = validate(instance)
    return [str(problem) for problem in problems]


def sharing(**changes: Any) -> dict[str, Any]:
    return {"sharing": {**SHARING, **changes}}


def ordering(**changes: Any) -> dict[str, Any]:
    return {"ordering": {**ORDERING, **changes}}


def affinity(*rows: list[Any]) -> dict[str, Any]:
    """The second branch point with another matrix."""
    return sharing(affinity=[SHARING["affinity"][0], list(rows)])


def gated(*members: tuple[str, str | None, float]) -> dict[str, Any]:
    conditions = [{"task": t, "given": g, "probability": p, "model": "gated"} for t, g, p in members]
    return ordering(conditions=conditions)


def test_the_base_is_valid() -> None:
    assert problems_of(**sharing(), **ordering()) == []
    assert problems_of(sharing={"branch_points": ["p"]}) == []
    assert problems_of(sharing={}) == []


RULES: list[tuple[dict[str, Any], str]] = [
    # affinity
    (
        affinity([1, 0.5, 0], [0.5, 1, 0]),
        "sharing.affinity[1]: 2 rows, expected 3: one for each task",
    ),
    (
        affinity([1, 0.5, 0], [0.5, 1], [0, 0, 1]),
        "sharing.affinity[1][1]: 2 entries, expected 3: one for each task",
    ),
    (
        affinity([1, 0.5, 0], [0.25, 1, 0], [0, 0, 1]),
        'sharing.affinity[1][0][1]: 0.5, and 0.25 the other way round, for "a" and "b" at branch point "q", '
        "expected a symmetric matrix",
    ),
    (
        affinity([1, 0.5, 0.125], [0.25, 1, 0], [0, 0, 1]),
        'sharing.affinity[1][0][1]: 0.5, and 0.25 the other way round, for "a" and "b" at branch point "q", '
        "expected a symmetric matrix (and 1 more like this)",
    ),
    (
        affinity([1, 1.5, 0], [1.5, 1, 0], [0, 0, 1]),
        'sharing.affinity[1][0][1]: 1.5 for "a" and "b" at branch point "q", expected at most 1 (and 1 more like this)',
    ),
    (
        affinity([1, 0.5, 0], [0.5, 1, 0], [0, 0, 0.5]),
        'sharing.affinity[1][2][2]: 0.5 for "c" and "c" at branch point "q", expected 1 for a task and itself',
    ),
    (
        affinity([1, 0.5, None], [0.5, 1, 0], [0, 0, 1]),
        'sharing.affinity[1][0][2]: null for "a" and "c" at branch point "q", expected a number',
    ),
    (
        affinity([1, 0.5, float("nan")], [0.5, 1, 0], [0, 0, 1]),
        "sharing.affinity[1][0][2]: NaN, expected a finite number",
    ),
    (
        sharing(branch_points=["p"], blocks=[], groups=[]),
        "sharing.affinity: 2 matrices, expected 1: one for each branch point",
    ),
    # blocks
    (sharing(blocks=[{"bytes": 2}]), "sharing.blocks: 1 blocks, expected 2: one behind each branch point"),
    (
        sharing(stem={"tasks": {"z": 1}}),
        'sharing.stem.tasks.z: "z" is not a task, expected one of "a", "b", "c"',
    ),
    (
        sharing(blocks=[{}, {"costs": {"z": {"load": 1}}}]),
        'sharing.blocks[1].costs.z: "z" is not a task, expected one of "a", "b", "c"',
    ),
    (
        sharing(head={"costs": {"z": {}}}),
        'sharing.head.costs.z: "z" is not a task, expected one of "a", "b", "c"',
    ),
    (sharing(head={"costs": {"a": {"load": -1}}}), "sharing.head.costs.a.load: -1, expected >= 0"),
    # groups
    (
        sharing(groups=[[["a", "b", "c"]]]),
        "sharing.groups: 1 partitions, expected 2: one for each branch point",
    ),
    (
        sharing(groups=[[["a", "c"]], [["a"], ["c"], ["b"]]]),
        'sharing.groups[0]: without "b", expected every task in a group',
    ),
    (
        sharing(groups=[[["a", "c"], ["b", "a"]], [["a"], ["c"], ["b"]]]),
        'sharing.groups[0][1][1]: "a" is already in group 0',
    ),
    (
        sharing(groups=[[["a", "c"], ["b", "z"]], [["a"], ["c"], ["b"]]]),
        'sharing.groups[0][1][1]: "z" is not a task, expected one of "a", "b", "c"',
    ),
    (
        sharing(groups=[[["a", "c"], ["b"], []], [["a"], ["c"], ["b"]]]),
        "sharing.groups[0][2]: empty, expected at least one task",
    ),
    (
        sharing(groups=[[["a", "c"], ["b"]], [["a"], ["c", "b"]]]),
        'sharing.groups[1][1]: joins "b" with "c", from which it parted at the branch point before; '
        "expected a refinement",
    ),
    # candidates
    (
        sharing(candidates=[{"tasks": ["a"], "affinity": {"b": 1}}]),
        'sharing.candidates[0].affinity.b: "b" is not a task of this candidate',
    ),
    # tools
    (
        ordering(slots=None),
        "ordering.slots: missing, expected how many tools of ordering.resources fit at once",
    ),
    (ordering(slots=1), 'ordering.resources[0]: task "a" needs 2 tools, expected at most 1 slots'),
    (ordering(slots=0), "ordering.slots: 0, expected >= 1 and <= 1000000"),
    (ordering(resources=[[2], [0], [0]]), "ordering.resources[0][0]: 2, expected >= 0 and <= 1"),
    # conditions
    (
        gated(("b", "a", 0.25), ("c", "a", 0.5)),
        "ordering.conditions[1].probability: 0.5, expected 0.25 as in condition 0: "
        "gated conditions with the same `given` have one outcome",
    ),
    (
        gated(("b", None, 1), ("c", None, 0.5)),
        "ordering.conditions[1].probability: 0.5, expected 1 as in condition 0: "
        "gated conditions with the same `given` have one outcome",
    ),
    (
        gated(("z", "a", 0.25)),
        'ordering.conditions[0].task: "z" is not a task, expected one of "a", "b", "c"',
    ),
    (
        gated(("a", "b", 0.25), ("b", "c", 0.25), ("c", "a", 0.25)),
        'ordering.conditions: cycle "a" -> "c" -> "b" -> "a", expected an acyclic order',
    ),
    (gated(("a", "a", 0.25)), 'ordering.conditions: cycle "a" -> "a", expected an acyclic order'),
    (gated(("a", "b", 1.5)), "ordering.conditions[0].probability: 1.5, expected >= 0 and <= 1"),
]


@pytest.mark.parametrize(("sections", "message"), RULES)
def test_each_rule_has_one_clear_message(sections: dict[str, Any], message: str) -> None:
    assert problems_of(**sections) == [message]


def test_measured_affinities_may_be_rounded() -> None:
    assert problems_of(**affinity([1 - 5e-7, 0.5, 0], [0.5 + 5e-7, 1, 1 + 5e-7], [0, 1, 1 + 5e-7])) == []
    assert len(problems_of(**affinity([1 - 5e-6, 0.5, 0], [0.5 + 5e-6, 1, 0], [0, 0, 1]))) == 2


def test_gates_of_other_tasks_and_independent_conditions_have_probabilities_of_their_own() -> None:
    assert problems_of(**gated(("b", "a", 0.25), ("c", "b", 0.5))) == []
    independent = [{"task": t, "given": "a", "probability": p} for t, p in (("b", 0.25), ("c", 0.5))]
    assert problems_of(**ordering(conditions=independent)) == []


def test_every_branch_point_is_checked() -> None:
    found = problems_of(**sharing(affinity=[[[1, 0, 0], [0, 2, 0], [0, 0, 1]]] * 2))
    assert [text.partition(":")[0] for text in found] == [
        "sharing.affinity[0][1][1]",
        "sharing.affinity[1][1][1]",
    ]


def test_a_file_of_1_0_may_leave_open_what_it_had_no_field_for() -> None:
    for changes in (
        sharing(blocks=[{"bytes": 2}]),
        ordering(slots=None),
        gated(("b", "a", 0.25), ("c", "a", 0.5)),
    ):
        assert problems_of("1.0", **changes) == []
        for version in ("1.1", "1.2", "1.10"):
            assert len(problems_of(version, **changes)) == 1
    # An affinity that means nothing is wrong in every file: nothing else would find it.
    assert len(problems_of("1.0", **affinity([1, 0.5, 0], [0.25, 1, 0], [0, 0, 1]))) == 1


def test_blocks_of_layers_need_their_model() -> None:
    tasks = [{"name": "a", "model": "net", "blocks": [["x"], ["y"]]}]
    assert problems_of(tasks=tasks, sharing={}) == ['tasks[0].model: "net" is not a model, none is defined']


@pytest.mark.parametrize("objective", ["task_variety", "execution_cost", "switching", "loss", "affinity"])
def test_new_objectives_are_known(objective: str) -> None:
    assert problems_of(objective=f"{objective}=2,size", sharing={}) == []
    assert len(problems_of(objective=f"{objective}z", sharing={})) == 1
