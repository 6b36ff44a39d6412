"""Files: round trips, golden files, limits, and everything that a file can be damaged by."""

from __future__ import annotations

import importlib.metadata
import io
import json
import os
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect

from dnnplan.instances import (
    FormatError,
    InputError,
    Instance,
    InstanceError,
    Layer,
    Limits,
    Model,
    Ordering,
    Plan,
    PlanError,
    Result,
    Tensor,
    UnsupportedError,
    files,
    plugins,
)
from dnnplan.instances.files import (
    dumps,
    loads_instance,
    loads_plan,
    read_instance,
    read_plan,
    read_platform,
    read_result,
    write_instance,
    write_plan,
    write_platform,
)
from dnnplan.instances.formats import detect_format, format_names
from dnnplan.instances.generators.small import random_small
from dnnplan.instances.instance import FORMAT_VERSION
from dnnplan.instances.json_text import LINE_WIDTH, parse_json, print_json
from dnnplan.instances.sections import Condition
from dnnplan.instances.validation import validate
from dnnplan.instances.validation.complete import MAX_DEPTH
from dnnplan.instances.validation.structure import decode
from dnnplan.instances.yaml_text import parse_yaml, print_yaml, resolve
from tests.instances.record_strategies import FREE_FORM, TRICKY, records

GOLDEN = Path(__file__).parent / "golden"
# Of the golden instance of each version. It may only change with the MAJOR version: plans refer to it.
GOLDEN_HASHES = {
    "v1.0": "6c306dc0d4ccc1060363f336e13c3bfd2def2e976f842d86fbc415c4b0154e49",
    "v1.1": "0b847a19541c57fcddedf53cc16f61d113ac655f5789865f486ba0c82a88a0e2",
    "v1.2": "242b9fff0f6712e84fd32887dd61ce4bc817c00ab6ed0358ff72b4912b9a6188",
}
SMALL = Instance(
    models=(
        Model(
            name="net",
            layers=(Layer(name="a", flops=10), Layer(name="b", attributes={"kernel": [3, 3]})),
            tensors=(Tensor(name="t", source="a", targets=("b",), bytes=8),),
        ),
    )
)


def instance_text(members: str) -> str:
    return f'{{"format_version": "{FORMAT_VERSION}", {members}}}'


# -- golden files --


@pytest.mark.parametrize("version", sorted(path.name for path in GOLDEN.iterdir()))
def test_golden_files_load_for_ever(version: str) -> None:
    folder = GOLDEN / version
    instance = read_instance(folder / "instance.json")
    assert read_instance(folder / "instance.yaml") == instance
    assert instance.hash() == read_instance(folder / "instance.yaml").hash() == GOLDEN_HASHES[version]
    plan = read_plan(folder / "plan.json")
    assert read_plan(folder / "plan.yaml") == plan == read_result(folder / "result.json").plan


def _used_fields(node: Any, kind: inspect.Type, used: set[tuple[str, str]]) -> None:
    if isinstance(kind, inspect.UnionType):
        for member in kind.types:
            _used_fields(node, member, used)
    elif isinstance(kind, inspect.StructType) and isinstance(node, dict):
        for field in kind.fields:
            if field.encode_name in node:
                used.add((kind.cls.__name__, field.encode_name))
                _used_fields(node[field.encode_name], field.type, used)
    elif isinstance(kind, inspect.VarTupleType) and isinstance(node, list):
        for member in node:
            _used_fields(member, kind.item_type, used)
    elif isinstance(kind, inspect.DictType) and isinstance(node, dict):
        for member in node.values():
            _used_fields(member, kind.value_type, used)


def _all_fields(kind: inspect.Type, fields: set[tuple[str, str]]) -> None:
    if isinstance(kind, inspect.UnionType):
        for member in kind.types:
            _all_fields(member, fields)
    elif isinstance(kind, inspect.StructType):
        for field in kind.fields:
            fields.add((kind.cls.__name__, field.encode_name))
            _all_fields(field.type, fields)
    elif isinstance(kind, inspect.VarTupleType):
        _all_fields(kind.item_type, fields)
    elif isinstance(kind, inspect.DictType):
        _all_fields(kind.value_type, fields)


@pytest.mark.parametrize("record", [Instance, Plan, Result])
def test_the_newest_golden_file_uses_every_field(record: type[msgspec.Struct]) -> None:
    folder = max(GOLDEN.iterdir(), key=lambda path: [int(part) for part in path.name[1:].split(".")])
    tree = json.loads((folder / f"{record.__name__.lower()}.json").read_text())
    used: set[tuple[str, str]] = set()
    fields: set[tuple[str, str]] = set()
    _used_fields(tree, inspect.type_info(record), used)
    _all_fields(inspect.type_info(record), fields)
    assert fields - used == set()


# -- round trips --


@settings(max_examples=30, deadline=None)
@given(record=st.one_of(records(Instance), records(Plan)))
def test_json_and_yaml_keep_every_record(record: Instance | Plan) -> None:
    for syntax, parse in (("json", parse_json), ("yaml", parse_yaml)):
        tree = parse(dumps(record, syntax=syntax).encode())
        assert next(iter(tree)) == "format_version"
        back, problems = decode(tree, type(record))
        assert problems == ()
        assert back == record
        if isinstance(record, Instance):
            assert back.hash() == record.hash()


@settings(max_examples=100, deadline=None)
@given(tree=st.dictionaries(st.sampled_from(TRICKY), FREE_FORM, max_size=4))
def test_text_keeps_free_form_data_and_its_types(tree: dict[str, Any]) -> None:
    assert repr(parse_json(print_json(tree).encode())) == repr(tree)
    assert repr(parse_yaml(print_yaml(tree).encode())) == repr(tree)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("suffix", [".json", ".yaml", ".yml"])
def test_written_files_read_back_equal(tmp_path: Path, suffix: str, seed: int) -> None:
    instance, path = random_small(seed), tmp_path / f"small{suffix}"
    write_instance(instance, path)
    assert read_instance(path) == instance
    assert read_instance(path).hash() == instance.hash()
    assert os.listdir(tmp_path) == [path.name]


def test_plans_and_platforms_read_back_equal(tmp_path: Path) -> None:
    plan, platform = (
        read_plan(GOLDEN / "v1.0" / "plan.json"),
        read_instance(GOLDEN / "v1.0" / "instance.json").platform,
    )
    assert platform is not None
    write_plan(plan, tmp_path / "plan.json")
    write_platform(platform, tmp_path / "platform.yaml")
    assert read_plan(tmp_path / "plan.json") == plan
    assert read_platform(tmp_path / "platform.yaml") == platform
    assert read_platform(GOLDEN / "v1.0" / "instance.yaml") == platform


def test_a_result_reads_back_equal() -> None:
    result = read_result(GOLDEN / "v1.0" / "result.json")
    assert read_result(io.BytesIO(result.to_json().encode())) == result


def test_equal_instances_have_equal_hashes() -> None:
    condition = {"task": "net", "probability": 1}
    one = loads_instance(
        instance_text('"models": [{"name": "net", "dtype": "float32"}], "objective": "latency"')
    )
    other = Instance(models=(Model(name="net"),), limits=Limits())
    assert one == other
    assert one.hash() == other.hash()
    integral = Instance(models=(Model(name="net"),), ordering=Ordering(conditions=(Condition(**condition),)))
    floating = Instance(
        models=(Model(name="net"),), ordering=Ordering(conditions=(Condition(task="net", probability=1.0),))
    )
    assert integral.hash() == floating.hash() == loads_instance(dumps(integral)).hash()
    assert integral.hash() != one.hash()


def test_the_hash_does_not_depend_on_the_minor_version_that_a_file_states() -> None:
    texts = [f'{{"format_version": "{version}", "name": "x"}}' for version in ("1.0", "1.1", "1.7")]
    instances = [loads_instance(text) for text in texts]
    assert len({instance.hash() for instance in instances}) == 1
    assert json.loads(dumps(instances[0]))["format_version"] == "1.0"


def test_a_file_of_1_0_may_say_less_of_grouping_and_ordering() -> None:
    golden = read_instance(GOLDEN / "v1.0" / "instance.json")
    assert golden.sharing is not None
    assert golden.ordering is not None
    assert len(golden.sharing.blocks) != len(golden.sharing.branch_points)
    assert golden.ordering.slots is None
    newer = msgspec.structs.replace(golden, format_version="1.1")
    assert [problem.path for problem in validate(newer)] == ["ordering.slots", "sharing.blocks"]


def test_json_is_broken_only_where_it_is_long() -> None:
    text = dumps(read_instance(GOLDEN / "v1.0" / "instance.json"))
    assert json.loads(text) == parse_json(text.encode())
    lines = text.splitlines()
    assert '        "peak_flops": {"float32": 100000000000.0, "*": 200000000000.0},' in lines
    assert max(map(len, lines)) <= LINE_WIDTH


# -- writing --


def test_nothing_is_overwritten_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "instance.json"
    path.write_text("precious")
    with pytest.raises(FileExistsError, match="not overwritten"):
        write_instance(SMALL, path)
    assert path.read_text() == "precious"
    write_instance(SMALL, path, overwrite=True)
    assert read_instance(path) == SMALL
    assert os.listdir(tmp_path) == [path.name]


def test_a_file_made_in_the_meantime_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "plan.json"
    path.write_text("precious")
    monkeypatch.setattr(Path, "exists", lambda self: False)
    with pytest.raises(FileExistsError):
        write_plan(Plan(), path)
    assert path.read_text() == "precious"
    assert os.listdir(tmp_path) == [path.name]


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_plan(Plan(), tmp_path / "plan.json", overwrite=True)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "instance",
    [
        Instance(models=(Model(name="net", layers=(Layer(name="a", flops=float("nan")),)),)),
        Instance(extensions={"x": {1, 2}}),
        Instance(extensions={"x": {1: 2}}),
        Instance(extensions={"x": "\ud800"}),
        Instance(extensions={"x": 2**70}),
        Instance(models=(Model(name="net", layers=(Layer(name="a"), Layer(name="a"))),)),
    ],
)
def test_what_could_not_be_read_back_is_not_written(tmp_path: Path, instance: Instance) -> None:
    with pytest.raises(InstanceError):
        write_instance(instance, tmp_path / "instance.json")
    assert os.listdir(tmp_path) == []


def test_written_files_are_as_readable_as_others(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("")
    write_plan(Plan(), tmp_path / "plan.json")
    assert (tmp_path / "plan.json").stat().st_mode == (tmp_path / "other").stat().st_mode


# -- streams, formats --


def test_streams_are_read_and_their_format_recognised() -> None:
    assert read_instance(io.BytesIO(dumps(SMALL).encode())) == SMALL
    assert read_instance(io.BytesIO(dumps(SMALL, syntax="yaml").encode())) == SMALL


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, dumps(SMALL).encode())
    os.close(writing)
    assert read_instance(f"/dev/fd/{reading}") == SMALL
    os.close(reading)


def test_formats_are_recognised_by_name_and_content() -> None:
    assert format_names()[-1] == "native"
    assert detect_format(Path("net.onnx"), b"") == "onnx"
    assert detect_format(Path("x"), b"\x08\x07\x12\x04test") == "onnx"
    assert detect_format(Path("x.yml"), b"name: a") == "native"
    assert detect_format(Path("x"), b' {"format_version"') == "native"
    with pytest.raises(FormatError, match="not recognised, expected one of"):
        detect_format(Path("x.png"), b"\x89PNG\r\n")


def test_other_distributions_add_formats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("lines_format")
    module.detect = lambda path, head: path.suffix == ".lines"  # type: ignore[attr-defined]
    module.read = lambda path, prefix="": Instance(  # type: ignore[attr-defined]
        models=tuple(Model(name=prefix + line) for line in path.read_text().split())
    )
    monkeypatch.setitem(sys.modules, "lines_format", module)
    group = plugins.FORMATS
    points = [EntryPoint("lines", "lines_format", group), EntryPoint("native", "evil", group)]
    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda group: points if group == plugins.FORMATS else []
    )
    plugins.forget()
    try:
        assert (format_names()[0], *format_names()[-2:]) == ("onnx", "lines", "native")
        path = tmp_path / "x.lines"
        path.write_text("a b")
        assert [model.name for model in read_instance(path).models] == ["a", "b"]
        assert [model.name for model in read_instance(path, prefix="x").models] == ["xa", "xb"]
        assert len(read_instance(io.BytesIO(b"a b c"), format="lines").models) == 3
        path.write_text("a a")
        with pytest.raises(InstanceError, match=r"x.lines: models\[1\].name"):
            read_instance(path)
    finally:
        plugins.forget()


def test_an_onnx_file_is_an_instance_of_one_model() -> None:
    onnx = pytest.importorskip("onnx")
    path = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / "light_squeezenet.onnx"
    if not path.exists():
        pytest.skip("this onnx package comes without its light models")
    instance = read_instance(path)
    assert len(instance.models) == 1
    assert instance.models[0].layers
    assert loads_instance(dumps(instance)) == instance


def test_an_unknown_format_is_named() -> None:
    with pytest.raises(UnsupportedError, match='"natve" is not a format, did you mean "native"'):
        read_instance(GOLDEN / "v1.0" / "instance.json", format="natve")


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="is a folder"):
        read_instance(tmp_path)
    with pytest.raises(FormatError, match="is a folder"):
        read_plan(tmp_path)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_instance(tmp_path / "none.json")


# -- versions --


@pytest.mark.parametrize("version", ["2.0", "0.9", "1", "1.x", "", "1.0.0"])
def test_other_major_versions_are_refused_before_anything_else(version: str) -> None:
    with pytest.raises(
        FormatError, match=rf'^format_version: .*expected "{FORMAT_VERSION}" or another version 1.x$'
    ):
        loads_instance(f'{{"format_version": "{version}", "unknown": 1}}')


def test_the_version_is_required_and_is_text() -> None:
    with pytest.raises(FormatError, match=rf'format_version: missing, expected "{FORMAT_VERSION}"'):
        loads_instance("{}")
    with pytest.raises(FormatError, match=rf'format_version: 1.0, expected "{FORMAT_VERSION}"'):
        loads_instance('{"format_version": 1.0}')
    assert loads_instance(f"format_version: {FORMAT_VERSION}") == Instance()
    assert loads_instance("format_version: 1.10").format_version == "1.10"


def test_a_newer_minor_version_is_read_if_it_says_nothing_new() -> None:
    assert loads_instance('{"format_version": "1.7", "name": "x"}').name == "x"
    with pytest.raises(InstanceError) as caught:
        loads_instance('{"format_version": "1.7", "novelty": 1}')
    assert f'"1.7" is newer than {FORMAT_VERSION}' in str(caught.value)
    assert "novelty: unknown key" in str(caught.value)


# -- limits --


def _sparse(path: Path, size: int, head: bytes = b"") -> Path:
    with path.open("wb") as stream:
        stream.write(head)
        stream.truncate(size)
    return path


@pytest.mark.parametrize(("name", "limit"), [("x.json", files.JSON_LIMIT), ("x.yaml", files.YAML_LIMIT)])
def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, name: str, limit: int) -> None:
    for read in (read_instance, read_plan, read_platform):
        with pytest.raises(FormatError, match=f"larger than {limit} bytes"):
            read(_sparse(tmp_path / name, limit + 1))


def test_a_stream_is_read_up_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "JSON_LIMIT", 1000)
    stream = io.BytesIO(b"{" * 5000)
    with pytest.raises(FormatError, match="larger than 1000 bytes"):
        read_instance(stream)
    assert stream.tell() == 1001


def test_text_without_a_name_is_yaml_only_up_to_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "YAML_LIMIT", 1000)
    with pytest.raises(FormatError, match="larger than 1000 bytes"):
        loads_instance("a: 1\n" * 1000)


@pytest.mark.parametrize(
    "head", [b"", b"{", b'{"format_version": "1.0", ', b"\xff\xfe", b"format_version: 1.0\n", b"[1,"]
)
@pytest.mark.parametrize("name", ["junk.json", "junk", "junk.yaml"])
def test_100_mb_of_junk_is_one_clear_line(tmp_path: Path, name: str, head: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        read_instance(_sparse(tmp_path / name, 100_000_000, head))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(tmp_path))


@pytest.mark.parametrize("syntax", ["json", "yaml"])
def test_nesting_is_limited(syntax: Any) -> None:
    def nested(depth: int) -> str:
        return instance_text('"extensions": {"x": ' + "[" * depth + "]" * depth + "}")

    assert loads_instance(nested(MAX_DEPTH - 3), syntax=syntax)
    with pytest.raises(InputError, match=rf"deeper than {MAX_DEPTH} levels|nested too deep"):
        loads_instance(nested(MAX_DEPTH + 1), syntax=syntax)
    with pytest.raises(InputError, match=r"deeper than|too deep"):
        loads_instance(nested(100_000), syntax=syntax)
    with pytest.raises(InputError):
        loads_instance(instance_text('"extensions": ' + '{"a": ' * 100_000), syntax=syntax)


# -- JSON --


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        (" \n ", "the file is empty"),
        ('{"format_version": "1.0", "name": ', "the file seems to be cut off"),
        ('{"format_version": "1.0", "na', "the file seems to be cut off"),
        ('{"format_version": "1.0"', "the file seems to be cut off"),
        ('{"format_version": "1.0",}', "not JSON: .* at line 1 column 26$"),
        ('{"format_version": "1.0"} x', "not JSON: Extra data at line 1 column 27"),
        ('["format_version"]', "not JSON of an object"),
        ("\x89PNG", "not JSON of an object"),
        ('{"name": "\\ud800", "format_version": "1.0"}', "stands alone"),
        ('{"format_version": "1.0", "name": "a\x00b"}', "zero bytes"),
        ('{"x": ' + "9" * 5000 + "}", "not readable: Exceeds the limit"),
    ],
)
def test_damaged_json_is_a_format_error(text: str, message: str) -> None:
    with pytest.raises(FormatError, match=message) as caught:
        loads_instance(text, syntax="json", source="x.json")
    assert str(caught.value).startswith("x.json: ")
    assert "\n" not in str(caught.value)


def test_bytes_that_are_not_utf8_are_named() -> None:
    for syntax in ("json", "yaml"):
        with pytest.raises(FormatError, match="not UTF-8 text: byte 0xff at position 10"):
            loads_instance(b'{"name": "\xff"}', syntax=syntax)


def test_a_byte_order_mark_is_skipped() -> None:
    assert loads_instance(b"\xef\xbb\xbf" + dumps(SMALL).encode()) == SMALL


def test_repeated_json_keys_are_all_found() -> None:
    text = instance_text(
        '"name": "a", "name": "b", "models": [{"name": "m", "layers": [{"name": "x", "name": "x"}]}]'
    )
    with pytest.raises(InstanceError) as caught:
        loads_instance(text)
    assert [str(problem) for problem in caught.value.problems] == [
        "name: key given more than once",
        "models[0].layers[0].name: key given more than once",
    ]


def test_a_repeated_key_that_hides_another_is_found() -> None:
    with pytest.raises(InstanceError, match="more than once"):
        loads_instance(instance_text('"limits": {"energy": 1, "energy": 2}, "limits": {}'))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
@pytest.mark.parametrize("syntax", ["json", "yaml"])
def test_numbers_that_are_not_finite_are_refused_with_their_place(number: str, syntax: Any) -> None:
    spelled = {"NaN": ".nan", "Infinity": ".inf", "-Infinity": "-.inf"}.get(number, number)
    value = number if syntax == "json" else spelled
    text = instance_text(f'"models": [{{"name": "m", "layers": [{{"name": "a", "flops": {value}}}]}}]')
    with pytest.raises(
        InstanceError, match=r"^models\[0\]\.layers\[0\]\.flops: -?(NaN|Infinity), expected a finite"
    ):
        loads_instance(text, syntax=syntax)
    with pytest.raises(
        InstanceError, match=r"^extensions\.a\[0\]: -?(NaN|Infinity), expected a finite number"
    ):
        loads_instance(instance_text(f'"extensions": {{"a": [{value}]}}'), syntax=syntax)


# -- YAML --


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("format_version: 1.0\nname: [a", "not YAML: did not find expected .* at line 3 column 1$"),
        ("format_version: 1.0\nname: b: c", "not YAML: mapping values .* at line 2 column 8$"),
        ("format_version: 1.0\nname: \x07", "not YAML: "),
        ("format_version: 1.0\nname: &a x", "anchor &a at line 2 is not allowed"),
        ("format_version: 1.0\nname: *a", "alias \\*a at line 2 is not allowed"),
        ("format_version: 1.0\nname: !!str x", "tag tag:yaml.org,2002:str at line 2 is not allowed"),
        (
            "format_version: 1.0\nname: !!python/object/apply:os.system [ls]",
            "tag .* at line 2 is not allowed",
        ),
        ("format_version: 1.0\n<<: {name: x}", "merge key << at line 2 is not allowed"),
        ("format_version: 1.0\n? [a]\n: 1", "a key that is not plain text at line 2"),
        ("format_version: 1.0\n--- \nname: x", "a second document at line 2"),
        ("- a", "holds a list, expected an object"),
        ("just text", 'holds "just text", expected an object'),
        ("format_version: 1.0\nextensions: {a: " + "9" * 5000 + "}", "extensions.a: not readable"),
    ],
)
def test_damaged_or_hostile_yaml_is_a_format_error(text: str, message: str) -> None:
    with pytest.raises(FormatError, match=message) as caught:
        loads_instance(text, syntax="yaml", source="x.yaml")
    assert "\n" not in str(caught.value)


def test_a_yaml_bomb_does_not_go_off() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    with pytest.raises(FormatError, match="anchor &a0 at line 1 is not allowed"):
        loads_instance("\n".join(lines))


def test_repeated_yaml_keys_are_all_found() -> None:
    text = "format_version: 1.0\nname: a\n'name': b\nlimits: {energy: 1, energy: 2}"
    with pytest.raises(InstanceError) as caught:
        loads_instance(text)
    assert [str(problem) for problem in caught.value.problems] == [
        "name: key given more than once (line 3)",
        "limits.energy: key given more than once (line 4)",
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[(text, None) for text in ("null", "Null", "NULL", "~", "")],
        *[(text, True) for text in ("true", "True", "TRUE")],
        *[
            (text, text)
            for text in ("on", "yes", "Yes", "y", "off", "no", "nULL", "tRUE", "1_000", "12:30:45")
        ],
        *[
            (text, text)
            for text in ("2026-01-01", "0b11", "1e", ".", "-", "+", "e5", "0x", "0o8", "=", "1.2.3")
        ],
        *[("12", 12), ("-7", -7), ("+7", 7), ("012", 12), ("0o17", 15), ("0x1F", 31)],
        *[
            ("1e-6", 1e-6),
            ("1E3", 1000.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("-1.5e+3", -1500.0),
            (".inf", float("inf")),
        ],
    ],
)
def test_yaml_scalars_follow_the_core_schema_of_version_1_2(text: str, value: Any) -> None:
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


def test_yaml_keys_are_text_and_quoted_scalars_too() -> None:
    tree = parse_yaml(b"1: '2'\ntrue: \"3\"\nnull: |\n  4\n")
    assert tree == {"1": "2", "true": "3", "null": "4\n"}


# -- plans --


def test_a_bad_plan_is_a_plan_error() -> None:
    with pytest.raises(PlanError, match='placment: unknown key, did you mean "placement"'):
        loads_plan('{"format_version": "1.0", "placment": {}}')
    with pytest.raises(PlanError, match=r"not_before.a: NaN, expected a finite number"):
        loads_plan('{"format_version": "1.0", "not_before": {"a": NaN}}')


# -- fuzz --


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_mutated_bytes_give_an_instance_or_an_input_error(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["instance.json", "instance.yaml"]))
    version = data.draw(st.sampled_from(sorted(GOLDEN_HASHES)))
    raw = bytearray((GOLDEN / version / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(raw)))
        length = data.draw(st.sampled_from([0, 1, 2, 10, 200, 5000]))
        raw[start : start + length] = data.draw(
            st.binary(max_size=6) | st.sampled_from([b'"', b"{", b"]", b"\n- ", b"-"])
        )
    try:
        instance = loads_instance(bytes(raw), syntax=Path(name).suffix[1:])
    except InputError:
        return
    assert loads_instance(dumps(instance)) == instance
