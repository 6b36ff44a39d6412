"""What a manifest must keep beyond its shape: names that exist, edges that agree, no cycles."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from dnnplan.deploy.manifest import INSTANCE, MANIFEST, PLAN, Manifest
from dnnplan.instances.validation.cycles import find_cycle
from dnnplan.instances.wording import Report, at, show, unknown

DTYPES = frozenset(
    (
        *("float16", "float32", "float64", "bfloat16", "bool", "string", "complex64", "complex128"),
        *("int4", "int8", "int16", "int32", "int64", "uint4", "uint8", "uint16", "uint32", "uint64"),
        *("float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz", "float4e2m1"),
    )
)


def manifest_problems(manifest: Manifest, report: Report) -> None:
    """Note everything that is wrong with a manifest whose shape is right."""
    _unique("devices", manifest.devices, report)
    _unique("models", (model.name for model in manifest.models), report)
    _unique("segments", (segment.name for segment in manifest.segments), report)
    _unique("values", (value.id for value in manifest.values), report)
    if report.problems:
        return  # what follows looks things up by these names
    if not manifest.segments:
        report.add("segments", "empty, expected at least one")
    _segments(manifest, report)
    _values(manifest, report)
    _names_in_files(manifest, report)
    _order(manifest, report)
    _transfers(manifest, report)
    _jobs(manifest, report)
    for name in manifest.predicted.segments:
        if name not in manifest.segment_of:
            report.add("predicted.segments", unknown("segment", name, manifest.segment_of))
    if not report.problems:
        _cycle(manifest, report)


def _unique(path: str, names: Iterable[str], report: Report) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            report.add(path, f"{show(name)} is there twice, expected once")
        seen.add(name)


def _segments(manifest: Manifest, report: Report) -> None:
    models = {model.name for model in manifest.models}
    taken = {MANIFEST, INSTANCE, PLAN}
    for index, segment in enumerate(manifest.segments):
        path = at("segments", index)
        if segment.device not in manifest.devices:
            report.add(at(path, "device"), unknown("device", segment.device, manifest.devices))
        if segment.model not in models:
            report.add(at(path, "model"), unknown("model", segment.model, models))
        for key, file in (("file", segment.file), ("data", segment.data)):
            if file is not None and file.lower() in taken:
                report.add(at(path, key), f"{show(file)} is the name of another file of the folder")
        if (segment.data is None) != (segment.data_sha256 is None):
            report.add(at(path, "data"), "expected together with data_sha256")
        for key, ids in (("inputs", segment.inputs), ("outputs", segment.outputs)):
            _unique(at(path, key), ids, report)
            for id_ in ids:
                if id_ not in manifest.value_of:
                    report.add(at(path, key), unknown("value", id_, ()))
        for name in segment.after:
            if name not in manifest.segment_of:
                report.add(at(path, "after"), unknown("segment", name, manifest.segment_of))


def _values(manifest: Manifest, report: Report) -> None:
    """Values and segments must tell the same edges: a tensor that one side leaves out is missing."""
    made = {id_: segment.name for segment in manifest.segments for id_ in segment.outputs}
    read: dict[str, set[str]] = {}
    for segment in manifest.segments:
        for id_ in segment.inputs:
            read.setdefault(id_, set()).add(segment.name)
        for id_ in segment.outputs:
            value = manifest.value_of.get(id_)
            if value is not None and value.source != segment.name:
                report.add(
                    "values",
                    f"{show(id_)} is made by {show(segment.name)}, its source is {show(value.source)}",
                )
    for index, value in enumerate(manifest.values):
        path = at("values", index)
        if value.dtype not in DTYPES:
            report.add(at(path, "dtype"), unknown("element type", value.dtype, DTYPES))
        if value.source is not None and value.source not in manifest.segment_of:
            report.add(at(path, "source"), unknown("segment", value.source, manifest.segment_of))
        elif value.source is not None and made.get(value.id) != value.source:
            report.add(path, f"{show(value.id)} is not among the outputs of its source {show(value.source)}")
        _unique(at(path, "targets"), value.targets, report)
        targets, readers = set(value.targets), read.get(value.id, set())
        for name in sorted(targets - readers):
            report.add(path, f"{show(value.id)} is not among the inputs of its target {show(name)}")
        for name in sorted(readers - targets):
            report.add(path, f"{show(value.id)} is read by {show(name)}, which is not among its targets")
        source = manifest.segment_of.get(value.source or "")
        dead_end = source is not None and source.outputs == (value.id,)  # a part has to make something
        if not targets and not value.output and not dead_end:
            report.add(path, f"{show(value.id)} has no reader and is no output")


def _names_in_files(manifest: Manifest, report: Report) -> None:
    """A file cannot have two inputs, or two outputs, of one name; shared files have the same names."""
    files: dict[str, tuple[object, ...]] = {}
    for index, segment in enumerate(manifest.segments):
        names = []
        for key, ids in (("inputs", segment.inputs), ("outputs", segment.outputs)):
            own = [manifest.value_of[id_].name for id_ in ids if id_ in manifest.value_of]
            _unique(at(at("segments", index), key), own, report)
            names.append(tuple(own))
        identity = (
            segment.sha256,
            segment.bytes,
            segment.data,
            segment.data_sha256,
            segment.data_bytes,
            *names,
        )
        if files.setdefault(segment.file.lower(), identity) != identity:
            report.add(
                at("segments", index), f"its file {show(segment.file)} is stated differently elsewhere"
            )


def _order(manifest: Manifest, report: Report) -> None:
    listed = []
    for device, names in manifest.order.items():
        if device not in manifest.devices:
            report.add(at("order", device), unknown("device", device, manifest.devices))
        for name in names:
            segment = manifest.segment_of.get(name)
            if segment is None:
                report.add(at("order", device), unknown("segment", name, manifest.segment_of))
            elif segment.device != device:
                report.add(at("order", device), f"{show(name)} is on device {show(segment.device)}")
            listed.append(name)
    _unique("order", listed, report)
    for name in manifest.segment_of.keys() - set(listed):
        report.add("order", f"segment {show(name)} is not listed")


def _transfers(manifest: Manifest, report: Report) -> None:
    wanted = set()
    for value in manifest.values:
        source = manifest.segment_of.get(value.source or "")
        for name in value.targets:
            target = manifest.segment_of.get(name)
            if source is not None and target is not None and source.device != target.device:
                wanted.add((value.id, source.device, target.device))
    given = [(t.value, t.source, t.target) for t in manifest.transfers]
    _unique("transfers", (" ".join(move) for move in given), report)
    for id_, a, b in sorted(set(given) - wanted):
        report.add(
            "transfers", f"{show(id_)} from {show(a)} to {show(b)}: no segment there needs it from there"
        )
    for id_, a, b in sorted(wanted - set(given)):
        report.add("transfers", f"{show(id_)} from {show(a)} to {show(b)} is missing")


def _jobs(manifest: Manifest, report: Report) -> None:
    _unique("jobs", (f"{job.task}/{job.job}" for job in manifest.jobs), report)
    models = {model.name for model in manifest.models}
    inputs, outputs = ({value.id for value in values} for values in (manifest.inputs, manifest.outputs))
    for index, job in enumerate(manifest.jobs):
        path = at("jobs", index)
        if job.model not in models:
            report.add(at(path, "model"), unknown("model", job.model, models))
        for key, ids, known in (("inputs", job.inputs, inputs), ("outputs", job.outputs, outputs)):
            for name, id_ in ids.items():
                if id_ not in known:
                    report.add(at(at(path, key), name), f"{show(id_)} is not among the {key} of the manifest")


def successors(manifest: Manifest) -> dict[str, list[str]]:
    """What each segment must come before: readers of its values, the next of its device, `after`."""
    found: dict[str, list[str]] = {segment.name: [] for segment in manifest.segments}
    for value in manifest.values:
        if value.source is not None:
            found[value.source].extend(value.targets)
    for names in manifest.order.values():
        for before, after in itertools.pairwise(names):
            found[before].append(after)
    for segment in manifest.segments:
        for name in segment.after:
            found[name].append(segment.name)
    return found


def _cycle(manifest: Manifest, report: Report) -> None:
    after = successors(manifest)
    cycle = find_cycle(after)
    if cycle:
        names = " -> ".join(show(name) for name in [*cycle, cycle[0]][:20])
        report.add("order", f"segments wait for each other: {names}")
        return
    place = {name: index for index, name in enumerate(manifest.segment_of)}
    for before, later in after.items():
        for name in later:
            if place[name] < place[before]:
                report.add("segments", f"{show(name)} stands before {show(before)}, which must run first")
