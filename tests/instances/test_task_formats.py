"""Readers of the formats of grouping and ordering: figures known by hand, recognition, selection, damaged files."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from dnnplan.costs.ordering.problem import ordering_problem
from dnnplan.costs.sharing.grouping import grouping_problem
from dnnplan.costs.sharing.selection import selection_problem
from dnnplan.instances import InputError, Instance, Limits, Ordering, Precedence, Task, UnsupportedError
from dnnplan.instances.files import read_instance, write_instance
from dnnplan.instances.formats import detect_format, write_with
from dnnplan.instances.sections import Condition
from tests.instances.task_samples import (
    AFFINITY,
    STANDLEY,
    TAG,
    TASK_FORMATS,
    TASK_SAMPLES,
    antler,
    write_task_sample,  # noqa: F401 (a fixture)
)

# -- recognition --


@pytest.mark.parametrize("name", TASK_FORMATS)
def test_formats_are_recognised_by_content(sample, name: str) -> None:
    path = sample(name)
    assert detect_format(Path("no suffix"), path.read_bytes()) == name
    assert read_instance(path) == read_instance(path, format=name)


@pytest.mark.parametrize("name", TASK_FORMATS)
def test_where_a_file_lies_does_not_matter(sample, tmp_path: Path, name: str) -> None:
    path = sample(name)
    (tmp_path / "other").mkdir()
    moved = tmp_path / "other" / path.name
    moved.write_bytes(path.read_bytes())
    assert read_instance(moved).hash() == read_instance(path).hash()


@pytest.mark.parametrize("name", TASK_FORMATS)
def test_what_is_read_survives_the_native_format(sample, tmp_path: Path, name: str) -> None:
    instance = read_instance(sample(name))
    write_instance(instance, tmp_path / "native.json")
    assert read_instance(tmp_path / "native.json") == instance


@pytest.mark.parametrize(
    "text",
    [
        '{"format_version": "1.1", "extensions": ' + antler({}) + "}",
        '{"format_version": "1.1", "extensions": ' + AFFINITY + "}",
        '{"format_version": "1.1", "extensions": ' + TAG + "}",
        '{"models": [{"name": "tag_net"}], "format_version": "1.1"}',
        "format_version: 1.1\nname: 'TYPE: SOP'\n",
    ],
)
def test_a_native_file_is_not_taken_for_a_foreign_one(text: str) -> None:
    assert detect_format(Path("x.json"), text.encode()) == "native"


def test_text_of_numbers_alone_is_told_apart() -> None:
    assert detect_format(Path("x.txt"), b"3 4 2\n1 0 0\n1 1 0\n") == "ssp"
    assert detect_format(Path("x.txt"), b"2 3 1\n 2  2 1 3 2 4  1 3 2 \n 1  3 1 5 2 5 3 7\n") == "fjsp"
    assert detect_format(Path("x.txt"), b"4 3 1\r\n1 0 0 1\r\n") == "ssp"
    assert detect_format(Path("x.txt"), b"0.5\t1\n\t2\n") == "standley"
    assert detect_format(Path("x.sop"), b"no keywords") == "tsplib"


# -- figures --


def test_sop_has_precedences_and_forbidden_steps(sample) -> None:
    instance = read_instance(sample("tsplib"))
    assert (instance.name, instance.objective) == ("tiny", "switching")
    assert instance.ordering == Ordering(
        switch=((0, 7, 3, None), (None, 0, None, 5), (None, 2, 0, 9), (None, None, None, 0))
    )
    # 0 before 1 and 2 before 3 follow from the others.
    assert [(p.before, p.after) for p in instance.precedences] == [("2", "1"), ("0", "2"), ("1", "3")]
    problem = ordering_problem(instance)
    assert [o for o in ((0, 1, 2, 3), (0, 2, 1, 3), (2, 0, 1, 3)) if problem.keeps(o)] == [(0, 2, 1, 3)]
    assert problem.judge((0, 2, 1, 3)).value == 3 + 2 + 5


def test_sop_of_two_nodes_has_one_step(sample) -> None:
    text = "TYPE: SOP\nDIMENSION: 2\nEDGE_WEIGHT_SECTION\n2\n0 6\n-1 0\nEOF\n"
    assert ordering_problem(read_instance(sample("tsplib", text))).judge((0, 1)).value == 6


def test_tools_are_counted_beyond_the_first_that_fit(sample) -> None:
    instance = read_instance(sample("ssp"))
    assert instance.ordering == Ordering(
        start="warm", slots=2, resources=((1, 1, 0, 0), (0, 1, 1, 0), (0, 0, 0, 1))
    )
    assert [task.name for task in instance.tasks] == ["1", "2", "3"]
    problem = ordering_problem(instance)
    assert problem.judge((0, 1, 2)).value == 2  # tool 3, then tool 4
    assert problem.judge((0, 2, 1)).value == 2  # tool 4 for tool 1, tool 3 for tool 4
    assert problem.judge((2, 0, 1)).value == 2


def test_antler_has_stem_blocks_and_heads_in_si_units(sample) -> None:
    instance = read_instance(sample("antler"))
    sharing = instance.sharing
    assert sharing is not None
    assert sharing.stem is not None
    assert sharing.head is not None
    assert (instance.name, instance.objective, sharing.unit) == ("TINY-time-msp430", "switching", "s")
    assert sharing.branch_points == ("layer 0", "layer 2")
    assert sharing.groups == ((("0", "2"), ("1",)), (("2",), ("0",), ("1",)))
    blocks = (sharing.stem, *sharing.blocks, sharing.head)
    assert [block.bytes for block in blocks] == [500, 2000, 3000, 250]
    assert [block.compute for block in blocks] == [8, 4, 2, 1]
    assert [block.load for block in blocks] == [0.8, 0.4, 0.2, 0.1]
    # Tasks 0 and 2 share the stem and the first block, task 1 only the stem. Three steps of a period.
    problem = ordering_problem(instance)
    assert problem.judge((0, 2, 1)).value == pytest.approx((2 + 1 + 0.3) + 2 * (4 + 2 + 1 + 0.7))
    assert instance.extensions["antler"] == {
        "dataset": "TINY",
        "metric": "time",
        "platform": "MSP430",
        "memory_kb": 14.25,
        "published": {"Antler": 21.5},
        "published_factor": 10 / 3,
    }
    assert grouping_problem(replace(instance, objective="size")).judge(
        (((0, 2), (1,)), ((0,), (1,), (2,)))
    ).measures["size"] == pytest.approx(14250)


def test_antler_energy_is_in_joules_and_input_can_be_fresh(sample) -> None:
    instance = read_instance(sample("antler", antler({"unit": "mJ", "metric": "energy"})), input="fresh")
    assert instance.sharing is not None
    assert instance.sharing.stem is not None
    assert (instance.sharing.unit, instance.sharing.stem.compute) == ("J", 0.008)
    assert instance.ordering == Ordering(closed=True, input="fresh")
    assert instance.extensions["antler"]["published"]["Antler"] == pytest.approx(0.0215)
    with pytest.raises(InputError, match="option input=new: expected same or fresh"):
        read_instance(sample("antler"), input="new")


def test_affinity_counts_copies(sample) -> None:
    instance = read_instance(sample("affinity"))
    assert (instance.name, instance.objective) == ("first", "variety")
    measures = grouping_problem(instance).judge((((0, 1), (2,)), ((0,), (1,), (2,)))).measures
    assert (measures["variety"], measures["task_variety"]) == pytest.approx((0.25 / 2, 0.5 / 3))
    assert measures["size"] == 5


def test_affinity_points_are_chosen(sample) -> None:
    instance = read_instance(sample("affinity"), points="1")
    assert instance.sharing is not None
    assert instance.sharing.branch_points == ("point 1",)
    assert instance.sharing.affinity == (((1, 0.5, -1), (0.5, 1, 0), (-1, 0, 1)),)
    for wrong in ("2", "1,0", "0,0", "", "x", "-1", "9" * 5000, "\u00b2"):
        with pytest.raises(InputError, match="expected rising numbers from 0 to 1"):
            read_instance(sample("affinity"), points=wrong)


def test_one_tensor_alone_is_called_like_its_file(sample) -> None:
    path = sample("affinity", json.dumps(json.loads(AFFINITY)["first"]))
    assert detect_format(path, path.read_bytes()) == "affinity"
    assert read_instance(path).name == "tiny"
    assert read_instance(path, select="tiny").sharing == read_instance(sample("affinity")).sharing


def test_tag_has_every_subset(sample) -> None:
    instance = read_instance(sample("tag"))
    assert instance.sharing is not None
    candidates = {candidate.tasks: candidate.affinity for candidate in instance.sharing.candidates}
    assert len(candidates) == 7
    assert candidates["b",] == {"b": -1e6}
    assert candidates["a", "c"] == {"a": 0.25, "c": 0.125}
    assert candidates["a", "b", "c"] == {"a": 0.375, "b": 0.0, "c": 0.4375}
    problem = selection_problem(replace(instance, limits=Limits(groups=2)))
    chosen = [index for index, members in enumerate(problem.members) if members in ((0, 1), (1, 2))]
    judged = problem.judge(chosen)
    assert judged.feasible
    assert judged.measures["affinity"] == pytest.approx((0.5 + 1 + 0.75) / 3)


@pytest.mark.parametrize(("name", "alone", "both"), [("hoa_loss", 9, 0.5), ("hoa_accuracy", 91, 99.5)])
def test_measured_pairs_are_losses(sample, name: str, alone: float, both: float) -> None:
    instance = read_instance(sample("tag", TAG.replace("tag_tiny", name)))
    assert instance.objective == "loss"
    assert instance.sharing is not None
    losses = {candidate.tasks: candidate.loss for candidate in instance.sharing.candidates}
    assert (losses["a",]["a"], losses["a", "b"]["a"]) == (alone, both)


def test_standley_has_networks_of_two_sizes(sample) -> None:
    instance = read_instance(sample("standley"))
    assert instance.sharing is not None
    found = [(c.tasks, c.cost, c.loss) for c in instance.sharing.candidates]
    assert found[:4] == [
        (("0",), 0.5, {"0": 0.5}),
        (("1",), 0.5, {"1": 0.25}),
        (("2",), 0.5, {"2": 0.125}),
        (("0",), 1, {"0": 0.375}),
    ]
    assert found[-2:] == [
        (("0", "1"), 1, {"0": 0.3, "1": 0.3}),
        (("0", "1", "2"), 1, {"0": 0.25, "1": 0.25, "2": 0.25}),
    ]
    problem = selection_problem(replace(instance, limits=Limits(budget=1.5)))
    assert problem.judge((2, 7)).value == pytest.approx(0.25 + 0.25 + 0.125)
    assert problem.judge((2, 7)).feasible
    assert not problem.judge((2, 3, 7)).feasible


def test_standley_letters_are_for_files_that_have_those_tasks(sample) -> None:
    five = "1\t2\t3\t4\t5\n1\t\t\t\t\n"

    def tasks(file: str, text: str = five) -> str:
        return "".join(task.name for task in read_instance(sample("standley", text, file)).tasks)

    assert tasks("results.txt") == tasks("results_small_data_test.txt") == "sdnke"
    assert tasks("results_alt.txt") == tasks("losses.txt") == "01234"
    assert tasks("results.txt", STANDLEY) == "012"


# -- parts of a file --


def test_antler_sets_are_named_by_data_set_metric_and_platform(sample) -> None:
    pico, energy = {"platform": "Pico"}, {"metric": "energy", "unit": "mJ"}
    path = sample("antler", antler({}, energy, pico))
    assert read_instance(path, select="TINY-energy").name == "TINY-energy-msp430"
    assert read_instance(path, select="TINY-time-pico").name == "TINY-time-pico"
    assert read_instance(path, select="TINY-time-msp430").name == "TINY-time-msp430"
    for select, message in (
        ("TINY-time", '"TINY-time" stands for 2 task sets, name one of TINY-time-msp430, TINY-time-pico'),
        (None, "holds 3 task sets, name one with --select: TINY-time-msp430, TINY-energy, TINY-time-pico"),
        ("TINY-tim", '"TINY-tim" is not a task set of this file, did you mean "TINY-time"'),
        ("MNIST", "expected one of TINY-time-msp430, TINY-energy, TINY-time-pico"),
    ):
        with pytest.raises(InputError, match=message):
            read_instance(path, select=select)


def test_parts_that_cannot_be_told_apart_are_refused(sample) -> None:
    with pytest.raises(InputError, match="stands for 2 task sets, and no other name tells them apart"):
        read_instance(sample("antler", antler({}, {})), select="TINY-time")
    with pytest.raises(InputError, match="holds no task set"):
        read_instance(sample("antler", '{"instances": []}'), format="antler")
    with pytest.raises(InputError, match="holds no tensor"):
        read_instance(sample("affinity", "{}"), format="affinity")


@pytest.mark.parametrize(("name", "prefix"), [("affinity", "net"), ("tag", "tag_net")])
def test_members_are_selected_by_name(sample, name: str, prefix: str) -> None:
    (member,) = [value for value in json.loads(TASK_SAMPLES[name][1]).values() if not isinstance(value, str)]
    path = sample(name, json.dumps({f"{prefix}{number}": member for number in range(100)}))
    assert read_instance(path, select=f"{prefix}42").name == f"{prefix}42"
    with pytest.raises(InputError, match=f"{prefix}0, {prefix}1, .* and 40 more$"):
        read_instance(path)
    with pytest.raises(InputError, match="did you mean"):
        read_instance(path, select=f"{prefix}4x")


# -- what is wrong --

WRONG: dict[str, list[tuple[str, str, str]]] = {
    "tsplib": [
        ("TYPE: SOP", "TYPE: ATSP", "TYPE ATSP, expected SOP: only problems of TYPE SOP are read"),
        ("TYPE: SOP\n", "", "TYPE: missing, expected SOP"),
        ("FULL_MATRIX", "UPPER_ROW", "EDGE_WEIGHT_FORMAT UPPER_ROW, expected FULL_MATRIX"),
        ("EXPLICIT", "EUC_2D", "EDGE_WEIGHT_TYPE EUC_2D, expected EXPLICIT"),
        ("DIMENSION: 4", "DIMENSION: 5", "first number: 4, expected the DIMENSION 5"),
        ("SECTION\n4", "SECTION\n1999999", '"1999999", expected a whole number from 2 to 2000'),
        ("-1  2  0 9", "-1  2  0", "EDGE_WEIGHT_SECTION: 15 entries, expected 4 x 4"),
        ("-1  2  0 9", "-1  2  0 9.5", 'row 2, column 3: "9.5", expected a whole number from -1'),
        ("-1  2  0 9", "-1  -2  0 9", 'row 2, column 1: "-2"'),
        ("-1  2  0 9", "-1  -1  0 9", "node 1 before 2 before 1, expected precedences without cycle"),
        (" 0  7  3", " 0  -1  3", "before .*expected precedences without cycle"),
        ("EDGE_WEIGHT_SECTION", "NODE_COORD_SECTION", "EDGE_WEIGHT_SECTION: missing or empty"),
    ],
    "ssp": [
        ("3 4 2", "3 4", "matrix: 11 entries, expected 4 tools x 3 jobs"),
        ("3 4 2", "3 4 0", 'line 1: "0", expected a whole number from 1'),
        ("3 4 2", "3 4 1", "job 1: needs 2 tools, expected at most the 1 slots"),
        ("3 4 2", "99999 99999 2", "needs tables of 9999800001 entries"),
        ("3 4 2", "3 5 2", "matrix: 12 entries, expected 5 tools x 3 jobs"),
        ("0 1 0", "0 1", "matrix: 11 entries"),
        ("0 1 0", "0 2 0", 'tool 3, job 2: "2", expected a whole number from 0 to 1'),
        ("0 1 0", "0 x 0", 'tool 3, job 2: "x"'),
    ],
    "antler": [
        ('"unit": "s"', '"unit": "h"', r'instances\[0\].unit: "h", expected one of s, ms, J, mJ'),
        ('"n_tasks": 3', '"n_tasks": 4', r"instances\[0\].levels\[0\]: 3 tasks, expected each of 4"),
        ('"n_tasks": 3', '"n_tasks": 2', r"levels\[0\]: task 2: expected 0 to 1"),
        ('"n_tasks": 3', '"n_tasks": 900000', "n_tasks: 900000, expected at most 1000"),
        ("[[0, 2], [1]]", "[[0, 2], [1, 2]]", r"levels\[0\]: task 2: is there twice"),
        ("[[2], [0], [1]]", "[[2], [0, 1]]", r"sharing.groups\[1\]\[1\]: joins \"1\" with \"0\""),
        ("[8, 4, 2, 1]", "[8, 4, 2]", "block_inference: 3 blocks, expected 4: two more than levels"),
        ("[8, 4, 2, 1]", "[8, 4, 2, -1]", r"instances\[0\].block_inference\[3\]: Expected"),
        ("[8, 4, 2, 1]", "[8, 4, 2, NaN]", "block_inference"),
        ('"branch_after_layer": [0, 2, 3]', '"branch_after_layer": [0]', "1 branch points, expected 3"),
        ('"dataset": "TINY", ', "", "missing required field `dataset`"),
    ],
    "affinity": [
        ("0.75, 1, 0.25", "0.75, 1", r"sharing.affinity\[0\]\[1\]: 2 entries, expected 3"),
        ("0.75, 1, 0.25", "0.7, 1, 0.25", 'for "0" and "1" at branch point "point 0", expected a symmetric'),
        ("0.75, 1, 0.25", "0.75, 0.5, 0.25", 'for "1" and "1" at branch point "point 0", expected 1'),
        ("0.75, 1, 0.25", "0.75, 1, null", r"first\[0\]\[1\]\[2\]: Expected `float`, got `null`"),
        ("0.75, 1, 0.25", "0.75, 1, NaN", r"NaN, expected a finite number"),
        ("0.75, 1, 0.25", '0.75, 1, "x"', r"first\[0\]\[1\]\[2\]: Expected `float`, got `str`"),
    ],
    "tag": [
        ('"c": -1', '"d": -1', 'tag_tiny.b: no figure with "c"'),
        ('"c": -1', '"c": -1, "d": 2', 'tag_tiny.b: a figure with "d", which has no row of its own'),
        ('"c": -1', '"c": "x"', "tag_tiny.*Expected `float`, got `str`"),
        ('"c": -1', '"c": NaN', "NaN, expected a finite number"),
        ('"tag_tiny": ', '"tag_tiny": 3, "other": ', "tag_tiny: Expected `object`, got `int`"),
        ('"tag_tiny"', '"tig_tiny"', "holds no matrix"),
    ],
    "standley": [
        ("0.5\t", "\t", "line 1: 2 losses, expected 3: a network of half size for each task"),
        ("0.3\t0.3", "0.3\t0.3\t\t7", "line 5: 4 columns, expected 3 as in line 1"),
        ("0.3\t0.3", "0.3\tx", 'line 5, column 2: "x", expected a number'),
        ("0.3\t0.3", "0.3\t-1", "line 5, column 2.*>= 0"),
        ("0.3\t0.3", "0.3\tnan", 'line 5, column 2: "nan", expected a number'),
        ("0.3\t0.3", "\t\t", "line 5: no loss, expected one at least"),
        (STANDLEY, "0.5\n0.25\n", "line 1: 1 columns, expected a loss for each of two or more tasks"),
    ],
}


@pytest.mark.parametrize(("name", "old", "new", "message"), [(n, *w) for n in WRONG for w in WRONG[n]])
def test_what_is_wrong_is_named(sample, name: str, old: str, new: str, message: str) -> None:
    text = TASK_SAMPLES[name][1]
    assert old in text
    with pytest.raises((InputError, UnsupportedError), match=message):
        read_instance(sample(name, text.replace(old, new, 1)), format=name)


@pytest.mark.parametrize("name", TASK_FORMATS)
def test_damaged_files_give_typed_errors(sample, name: str) -> None:
    text = TASK_SAMPLES[name][1]
    for cut in range(0, len(text), 3):
        for damaged in (
            text[:cut],
            text[:cut] + "\u2028-1e999" + text[cut + 2 :],
            text[:cut] + text[cut + 5 :],
        ):
            with suppress(InputError, UnsupportedError):  # any other error fails the test
                read_instance(sample(name, damaged), format=name)


@pytest.mark.parametrize("name", ["antler", "affinity", "tag"])
@pytest.mark.parametrize("text", ["3", "null", '"x"', "[]", "{}", "[" * 200_000, '{"a": ' * 200_000])
def test_json_of_another_layout_is_refused(sample, name: str, text: str) -> None:
    with pytest.raises(InputError) as caught:
        read_instance(sample(name, text), format=name)
    assert len(str(caught.value)) < 400


def test_tag_refuses_more_tasks_than_subsets_can_be_listed(sample) -> None:
    names = [f"t{i}" for i in range(13)]
    matrix = {"tag_many": {a: dict.fromkeys(names, 0.5) for a in names}}
    with pytest.raises(InputError, match="13 tasks, expected 1 to 12"):
        read_instance(sample("tag", json.dumps(matrix)))


# -- writing --


def test_sop_survives_the_way_there_and_back(sample, tmp_path: Path) -> None:
    instance = read_instance(sample("tsplib"))
    write_with(instance, tmp_path / "again.sop", "tsplib")
    again = read_instance(tmp_path / "again.sop")
    assert replace(again, source="") == replace(instance, source="")
    assert "0 7 3 1000000" in (tmp_path / "again.sop").read_text()


def line(**changes: Any) -> Instance:
    """Three tasks of which the first and the last are fixed."""
    ordering = changes.pop("ordering", {})
    usual: dict[str, Any] = {
        "objective": "switching",
        "tasks": tuple(Task(name=name, model="net") for name in "abc"),
        "precedences": (Precedence(before="a", after="b"), Precedence(before="b", after="c")),
        "ordering": Ordering(**{"switch": ((0, 1, 2.0), (3, 0, 4), (5, 6, 0)), **ordering}),
    }
    return Instance(**{**usual, **changes})


def test_sop_is_written_from_names(tmp_path: Path) -> None:
    write_with(line(name="a\nb"), tmp_path / "x.sop", "tsplib")
    assert (tmp_path / "x.sop").read_text().splitlines() == [
        "NAME: a b",
        "TYPE: SOP",
        "DIMENSION: 3",
        "EDGE_WEIGHT_TYPE: EXPLICIT",
        "EDGE_WEIGHT_FORMAT: FULL_MATRIX",
        "EDGE_WEIGHT_SECTION",
        "3",
        "0 1 1000000",
        "-1 0 4",
        "-1 -1 0",
        "EOF",
    ]
    judged = ordering_problem(read_instance(tmp_path / "x.sop")).judge((0, 1, 2))
    assert judged.value == ordering_problem(line()).judge((0, 1, 2)).value == 5


@pytest.mark.parametrize(
    ("changes", "feature"),
    [
        ({"ordering": {"closed": True}}, "a closed order"),
        ({"ordering": {"conditions": (Condition(task="b", probability=0.5),)}}, "conditions"),
        ({"limits": Limits(switching=3)}, "limits"),
        ({"precedences": ()}, "orders whose first and last task are not fixed"),
        (
            {"ordering": {"switch": ((0, 1.5, 2), (3, 0, 4), (5, 6, 0))}},
            'the step from "a" to "b" at cost 1.5',
        ),
        ({"ordering": {"switch": ((0, None, 2), (3, 0, 4), (5, 6, 0))}}, "at cost null"),
        ({"ordering": {"switch": ((0, -1, 2), (3, 0, 4), (5, 6, 0))}}, "at cost -1"),
        ({"ordering": {"resources": ((1,), (0,), (1,)), "slots": 1}}, "tools"),
        ({"objective": "energy"}, "the objective energy"),
        ({"ordering": {"switch": ()}}, "an instance without ordering.switch"),
    ],
)
def test_what_sop_cannot_express_is_named(tmp_path: Path, changes: dict[str, Any], feature: str) -> None:
    with pytest.raises(UnsupportedError, match=f"format 'tsplib' cannot express .*{feature}"):
        write_with(line(**changes), tmp_path / "x.sop", "tsplib")
    assert list(tmp_path.iterdir()) == []


def test_other_task_formats_are_only_read(sample, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="'ssp' is only read"):
        write_with(read_instance(sample("ssp")), tmp_path / "x.txt", "ssp")
