"""JSON Schemas of the files, made from the record types and their docstrings.

The published copies lie beside this module (``instance.schema.json``, ``plan.schema.json``, ...); a test keeps them
current, ``python -m dnnplan.instances.schema`` rewrites them.
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import msgspec

from dnnplan.instances.atomic import write_text
from dnnplan.instances.events.records import EVENTS_VERSION, Events
from dnnplan.instances.instance import FORMAT_VERSION, Instance
from dnnplan.instances.pipe_records import PipeEvent, PipeRequest
from dnnplan.instances.plan import PLAN_VERSION, Plan
from dnnplan.instances.result import Result

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def instance_schema() -> dict[str, Any]:
    """JSON Schema of native instance files.

    Validity under the schema is a matter of shape; names, cycles and sizes of tables are for `validate`.

    Examples
    --------
    >>> schema = instance_schema()
    >>> schema["title"], schema["required"]
    ('dnnplan instance', ['format_version'])
    """
    return record_schema(Instance, "dnnplan instance", FORMAT_VERSION)


def plan_schema() -> dict[str, Any]:
    """JSON Schema of plan files."""
    return record_schema(Plan, "dnnplan plan", PLAN_VERSION)


def result_schema() -> dict[str, Any]:
    """JSON Schema of what ``dnnplan solve --json`` prints."""
    return record_schema(Result, "dnnplan result", None)


def events_schema() -> dict[str, Any]:
    """JSON Schema of files of change events, as ``dnnplan replan --event`` reads them."""
    return record_schema(Events, "dnnplan events", EVENTS_VERSION)


def pipe_request_schema() -> dict[str, Any]:
    """JSON Schema of a line that ``dnnplan pipe`` reads."""
    return record_schema(PipeRequest, "dnnplan pipe request", None)


def pipe_event_schema() -> dict[str, Any]:
    """JSON Schema of a line that ``dnnplan pipe`` writes."""
    return record_schema(PipeEvent, "dnnplan pipe event", None)


SCHEMAS = {
    "events": events_schema,
    "instance": instance_schema,
    "pipe-event": pipe_event_schema,
    "pipe-request": pipe_request_schema,
    "plan": plan_schema,
    "result": result_schema,
}


def schema_text(kind: str) -> str:
    """Text of the schema of one of `SCHEMAS` as it is published."""
    return json.dumps(SCHEMAS[kind](), indent=2, ensure_ascii=False) + "\n"


def published_path(kind: str) -> Path:
    """Where the published copy of a schema lies."""
    return Path(__file__).parent / f"{kind}.schema.json"


def record_schema(record: type[msgspec.Struct], title: str, version: str | None) -> dict[str, Any]:
    """JSON Schema of files that hold a record; `version` is that of their format, None: they state none."""
    (_, root), definitions = _generate(record)
    for definition in definitions.values():
        _document(definition)
    _document(root)
    schema = {"$schema": DIALECT, **root, "title": title, "$defs": definitions}
    if version is not None:
        major = version.split(".")[0]
        schema["properties"]["format_version"] = {
            "type": "string",
            "pattern": rf"^{major}\.[0-9]{{1,6}}$",
            "description": f'Version of the format, "{version}"; every {major}.x is read.',
        }
        schema["required"] = ["format_version", *root.get("required", ())]
    return schema


def _generate(record: type[msgspec.Struct]) -> tuple[tuple[str, dict[str, Any]], dict[str, Any]]:
    """Take the definition of the record out of those of the records it holds."""
    _, definitions = msgspec.json.schema_components([record], ref_template="#/$defs/{name}")
    root = definitions.pop(record.__name__)
    return (record.__name__, root), dict(sorted(definitions.items()))


def _document(definition: dict[str, Any]) -> None:
    """Split a numpydoc docstring into the description of the record and those of its fields."""
    text = inspect.cleandoc(definition.get("description", ""))
    summary, _, parameters = text.partition("\nParameters\n----------\n")
    definition["description"] = summary.strip()
    for names, description in re.findall(r"^(\w[\w, ]*)\n((?:    .*\n?)+)", parameters, flags=re.MULTILINE):
        for name in names.split(", "):
            field = definition["properties"].get(name)
            if field is not None:
                field["description"] = " ".join(description.split())


def main() -> None:
    """Rewrite the published copies."""
    for kind in SCHEMAS:
        write_text(schema_text(kind), published_path(kind), overwrite=True)


if __name__ == "__main__":
    main()
