"""A manifest as what each worker does: which segments, what they wait for, what is copied, whom they tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dnnplan.deploy.manifest import Manifest, SegmentEntry
from dnnplan.instances import Instance, Plan


@dataclass(frozen=True)
class Step:
    """A segment on its device.

    Attributes
    ----------
    inputs, outputs
        (ONNX name, value) pairs.
    waits
        Segments of other devices that have to end before.
    copies
        Values that this device copies from another before the segment runs: those it reads first.
    tells
        Devices on which a segment waits for this one.
    earliest
        Seconds after the begin of a pass before which it does not start.
    """

    name: str
    device: str
    inputs: tuple[tuple[str, str], ...]
    outputs: tuple[tuple[str, str], ...]
    waits: frozenset[str] = frozenset()
    copies: tuple[str, ...] = ()
    tells: tuple[str, ...] = ()
    earliest: float = 0.0


@dataclass(frozen=True)
class Program:
    """The steps of every device in order.

    Attributes
    ----------
    home
        Device that makes each value; None: an input of a model.
    outputs
        Values that are outputs of models.
    serial
        All segments in an order in which one worker could run them.
    """

    steps: Mapping[str, tuple[Step, ...]]
    home: Mapping[str, str | None]
    outputs: tuple[str, ...]
    serial: tuple[Step, ...]


def make_program(manifest: Manifest, instance: Instance | None = None, plan: Plan | None = None) -> Program:
    """What each device does; releases of jobs come from the instance, earliest times of calls from the plan.

    Parameters
    ----------
    manifest
        As `read_manifest` returns it: complete, and without cycles.
    """
    device = {name: entry.device for name, entry in manifest.segment_of.items()}
    waits = {entry.name: _waits(manifest, entry) for entry in manifest.segments}
    told: dict[str, set[str]] = {}
    for name, others in waits.items():
        for other in others:
            told.setdefault(other, set()).add(device[name])
    earliest = _earliest(manifest, instance, plan)
    steps: dict[str, tuple[Step, ...]] = {}
    for place in manifest.devices:
        seen: set[str] = set()
        own = []
        for name in manifest.order.get(place, ()):
            entry = manifest.segment_of[name]
            copies = [
                value for value in entry.inputs if value not in seen and _is_elsewhere(manifest, value, place)
            ]
            seen.update(copies)
            own.append(
                Step(
                    name=name,
                    device=place,
                    inputs=_named(manifest, entry.inputs),
                    outputs=_named(manifest, entry.outputs),
                    waits=waits[name],
                    copies=tuple(copies),
                    tells=tuple(sorted(told.get(name, ()))),
                    earliest=earliest.get(name, 0.0),
                )
            )
        steps[place] = tuple(own)
    by_name = {step.name: step for own in steps.values() for step in own}
    return Program(
        steps=steps,
        home={value.id: None if value.source is None else device[value.source] for value in manifest.values},
        outputs=tuple(value.id for value in manifest.outputs),
        serial=tuple(by_name[entry.name] for entry in manifest.segments),
    )


def _named(manifest: Manifest, values: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((manifest.value_of[value].name, value) for value in values)


def _is_elsewhere(manifest: Manifest, value: str, device: str) -> bool:
    source = manifest.value_of[value].source
    return source is not None and manifest.segment_of[source].device != device


def _waits(manifest: Manifest, entry: SegmentEntry) -> frozenset[str]:
    """Segments of other devices that a segment waits for; those of its own come before it anyhow."""
    sources = {manifest.value_of[value].source for value in entry.inputs}
    others = {name for name in sources if name is not None} | set(entry.after)
    return frozenset(name for name in others if manifest.segment_of[name].device != entry.device)


def _earliest(manifest: Manifest, instance: Instance | None, plan: Plan | None) -> dict[str, float]:
    """Seconds before which segments may not start, where there are any."""
    tasks = {} if instance is None else {task.name: task for task in instance.effective_tasks()}
    not_before = {} if plan is None else plan.not_before
    found = {}
    for entry in manifest.segments:
        task = tasks.get(entry.task)
        release = 0.0 if task is None else float(task.release) + entry.job * float(task.period or 0)
        seconds = max(release, float(not_before.get(entry.name, 0.0)))
        if seconds > 0:
            found[entry.name] = seconds
    return found
