"""The published JSON Schemas: current, valid, and in agreement with the reader."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings

from dnnplan.instances import Instance
from dnnplan.instances.bundled_platforms import load_platform, platform_names
from dnnplan.instances.files import dumps
from dnnplan.instances.generators.small import random_small
from dnnplan.instances.schema import SCHEMAS, instance_schema, published_path, schema_text
from tests.instances.record_strategies import records

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("kind", SCHEMAS)
def test_the_published_schema_is_current(kind: str) -> None:
    assert published_path(kind).read_text(encoding="utf-8") == schema_text(kind), (
        "run python -m dnnplan.instances.schema"
    )


@pytest.mark.parametrize("kind", SCHEMAS)
def test_the_schema_is_a_schema_and_golden_files_are_valid(kind: str) -> None:
    schema = SCHEMAS[kind]()
    jsonschema.Draft202012Validator.check_schema(schema)
    for path in GOLDEN.glob(f"v1.*/{kind}.json"):
        jsonschema.validate(json.loads(path.read_text()), schema, cls=jsonschema.Draft202012Validator)


def test_every_record_and_most_fields_are_described() -> None:
    schema = instance_schema()
    assert all(definition["description"] for definition in schema["$defs"].values())
    assert not any("----" in definition["description"] for definition in schema["$defs"].values())
    assert schema["$defs"]["Tensor"]["properties"]["read_bytes"]["description"].startswith(
        "What a reader fetches"
    )
    assert schema["$defs"]["Layer"]["properties"]["workspace_bytes"]["description"].startswith("Bytes of its")


VALIDATOR = jsonschema.Draft202012Validator(instance_schema())


@settings(max_examples=30, deadline=None)
@given(instance=records(Instance))
def test_whatever_is_written_is_valid(instance: Instance) -> None:
    text = dumps(instance)
    tree = json.loads(text)
    tree["format_version"] = "1.0"  # random records have random versions
    VALIDATOR.validate(tree)


def test_instances_and_platforms_that_exist_are_valid() -> None:
    for seed in range(20):
        VALIDATOR.validate(json.loads(dumps(random_small(seed))))
    for name in platform_names():
        VALIDATOR.validate(json.loads(dumps(Instance(platform=load_platform(name)))))


@pytest.mark.parametrize(
    "members",
    [
        {"unknown": 1},
        {"models": [{"layers": []}]},
        {"models": [{"name": "a/b"}]},
        {"models": [{"name": "a", "layers": [{"name": "x", "flops": -1}]}]},
        {"models": [{"name": "a", "layers": [{"name": "x", "flops": "1"}]}]},
        {"platform": {"execution": {"staging": "indirect"}}},
        {"format_version": "2.0"},
        {"format_version": 1.0},
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(members: dict[str, object]) -> None:
    assert not VALIDATOR.is_valid({"format_version": "1.0", **members})
