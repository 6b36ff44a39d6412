"""Networks as ONNX files, to be planned on a platform; the reader is `dnnplan.instances.formats.onnx`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dnnplan.instances.errors import InputError
from dnnplan.instances.instance import Instance

_LOGGER = logging.getLogger(__name__)
# ModelProto starts with ir_version (field 1, a varint) in every file that the onnx package writes; it is
# followed by one of opset_import, producer_name, producer_version, domain, model_version, doc_string, graph.
_IR_VERSION_TAG = 0x08
_NEXT_TAGS = b"\x12\x1a\x22\x28\x32\x3a\x42"


def detect(path: Path, head: bytes) -> bool:
    """Whether this is an ONNX model, by its name or its first bytes."""
    if path.suffix.lower() == ".onnx":
        return True
    return len(head) > 2 and head[0] == _IR_VERSION_TAG and 0 < head[1] < 0x80 and head[2] in _NEXT_TAGS


def read(path: Path, *, exits: str | bool | Sequence[str] | None = None, **options: Any) -> Instance:
    """Read an ONNX file as an instance of one model; `options` are those of `read_onnx`.

    What the reader had to assume is logged as warnings; `read_onnx` returns it as a report.

    Parameters
    ----------
    exits
        Outputs of the network that are its exits: names, or text with commas between them; True: all outputs.
    """
    from dnnplan.instances.formats.onnx.reader import read_onnx  # loads when used
    from dnnplan.instances.serving.outputs import exits_at_outputs

    model, report = read_onnx(path, **options)
    for warning in report.warnings:
        _LOGGER.warning("%s: %s", path, warning)
    if exits:
        model = exits_at_outputs(model, _names(exits))
    return Instance(name=model.name, source=path.name, models=(model,))


def _names(exits: str | bool | Sequence[str]) -> list[str] | None:
    if exits is True:
        return None
    names = exits.split(",") if isinstance(exits, str) else exits
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise InputError(f"exits: {exits!r}, expected names of outputs")
    return [name.strip() for name in names]
