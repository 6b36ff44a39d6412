"""JSON Schema of ``manifest.json``; ``python -m dnnplan.deploy.manifest_schema`` rewrites the published copy."""

from __future__ import annotations

import json
from pathlib import Path

from dnnplan.deploy.manifest import MANIFEST_VERSION, Manifest
from dnnplan.instances.atomic import write_text
from dnnplan.instances.schema import record_schema


def manifest_schema_text() -> str:
    """Text of the schema as it is published.

    Examples
    --------
    >>> json.loads(manifest_schema_text())["title"]
    'dnnplan manifest of a split plan'
    """
    schema = record_schema(Manifest, "dnnplan manifest of a split plan", MANIFEST_VERSION)
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def published_path() -> Path:
    """Where the published copy lies."""
    return Path(__file__).parent / "manifest.schema.json"


if __name__ == "__main__":
    write_text(manifest_schema_text(), published_path(), overwrite=True)
