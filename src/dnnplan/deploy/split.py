"""From a plan and the ONNX files of its models to a folder of parts with a manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.resolve import mapping_problem
from dnnplan.deploy.cut import Crossing, Part, cut
from dnnplan.deploy.extract import INLINE_LIMIT, part_model, store, stored_constants, typed
from dnnplan.deploy.folder import dumps_manifest
from dnnplan.deploy.identical import require_identical
from dnnplan.deploy.manifest import (
    INSTANCE,
    MANIFEST,
    PLAN,
    JobEntry,
    Manifest,
    ModelEntry,
    Predicted,
    SegmentEntry,
    Transfer,
    Value,
)
from dnnplan.deploy.mapped import mapped, owners
from dnnplan.deploy.network import Network, file_sha256, read_network
from dnnplan.deploy.segments import Segment, segments, with_segments
from dnnplan.deploy.value_table import ValueTable
from dnnplan.deploy.wire import write_model
from dnnplan.deploy.work import Ref, Work, work_of_task, work_of_task_graph
from dnnplan.deploy.writing import plain_name, whole_folder
from dnnplan.instances import Instance, Plan
from dnnplan.instances.files import dumps


def split(
    plan: Plan,
    instance: Instance,
    files: Mapping[str, str | Path],
    output: str | Path,
    *,
    dims: Mapping[str, int] | None = None,
    seed: int | None = None,
    light: bool = False,
    overwrite: bool = False,
    inline_limit: int = INLINE_LIMIT,
) -> Manifest:
    """Cut ONNX models into one part a call, and write the parts with a manifest into a folder.

    Parameters
    ----------
    plan
        A plan of mapping, or a joint plan with placement. Blocks of several tasks become one part only where their
        nodes and weights are bit-identical.
    instance
        What the plan was made for.
    files
        ONNX file of each model, by name; see `dnnplan.deploy.sources.model_files`.
    output
        The folder: written whole, or not at all.
    dims
        Numbers for symbolic dimensions of inputs; others stay symbolic.
    seed
        Give light files seeded weights first, as `dnnplan materialise` does.
    light
        Whether files without learnt weights are split as they are.
    overwrite
        Replace a folder that an earlier call wrote.
    inline_limit
        Bytes of weights from which on a part has them in a file of its own beside it.

    Returns
    -------
    Manifest
        What was written.

    Raises
    ------
    InputError
        The plan does not fit the instance or the files, the folder exists, or files have no weights.
    UnsupportedError
        Blocks of several tasks whose weights differ; see `dnnplan.deploy.retraining`.
    """
    with whole_folder(Path(output), overwrite=overwrite) as folder:
        deployment = deploy(plan, instance, files, dims=dims, seed=seed, light=light)
        manifest = _Writer(deployment, folder, inline_limit).write()
        (folder / MANIFEST).write_text(dumps_manifest(manifest), encoding="utf-8", newline="\n")
        (folder / INSTANCE).write_text(dumps(deployment.instance), encoding="utf-8", newline="\n")
        (folder / PLAN).write_text(dumps(deployment.plan), encoding="utf-8", newline="\n")
    return manifest


@dataclass(frozen=True, kw_only=True, eq=False)
class Deployment:
    """A plan with everything that acting on it needs.

    Parameters
    ----------
    instance, plan
        What is mapped, and its plan of mapping with the segments as calls.
    works
        What the jobs of each task compute.
    predicted
        Latency, and start and end of every segment, seconds.
    """

    instance: Instance
    plan: Plan
    problem: MappingProblem
    segments: tuple[Segment, ...]
    works: Mapping[str, Work]
    networks: Mapping[str, Network]
    predicted: Predicted


def deploy(
    plan: Plan,
    instance: Instance,
    files: Mapping[str, str | Path],
    *,
    dims: Mapping[str, int] | None = None,
    seed: int | None = None,
    light: bool = False,
) -> Deployment:
    """Read the networks of a plan, and find its segments; parameters and errors are those of `split`."""
    whole, plain = mapped(instance, plan)
    problem = mapping_problem(whole)
    names = sorted({task.model for task in instance.effective_tasks()})
    networks = {name: read_network(files[name], dims=dims, seed=seed, light=light) for name in names}
    if plan.problem == "joint" and plan.groups:
        work = work_of_task_graph(instance, plan.groups, networks, whole.models[0])
        require_identical(work)
        works = {work.task: work}
    else:
        models = {model.name: model for model in whole.models}
        works = {
            task.name: work_of_task(task, models[task.model], networks[task.model])
            for task in whole.effective_tasks()
        }
    carried = {
        name: {"path": str(Path(files[name]).resolve()), "sha256": network.sha256}
        for name, network in networks.items()
    }
    called, evaluation = with_segments(problem, plain, apart=owners(plan, problem))
    spans = {name: (evaluation.starts[name], evaluation.ends[name]) for name in evaluation.starts}
    return Deployment(
        instance=whole,
        plan=replace(called, times=spans, extensions={**called.extensions, "models": carried}),
        problem=problem,
        segments=segments(problem, called),
        works=works,
        networks=networks,
        predicted=Predicted(latency=evaluation.cost.latency, segments=spans),
    )


@dataclass(kw_only=True, eq=False)
class _File:
    """A part as it was written."""

    file: str
    sha256: str
    bytes: int
    data: str | None = None
    data_sha256: str | None = None
    data_bytes: int = 0


@dataclass
class _Writer:
    deployment: Deployment
    folder: Path
    inline_limit: int
    written: dict[tuple[Any, ...], _File] = field(default_factory=dict)

    def write(self) -> Manifest:
        """Write all parts."""
        given = self.deployment
        entries: dict[str, SegmentEntry] = {}
        values: list[Value] = []
        jobs: list[JobEntry] = []
        of_job: dict[tuple[str, int], list[Segment]] = {}
        for segment in given.segments:
            of_job.setdefault((segment.task, segment.job), []).append(segment)
        for (task, job), found in of_job.items():
            work = given.works[task]
            parts, crossing = cut(work, found)
            table = ValueTable(work, given.problem, task, job, crossing)
            names = [segment.name for segment in found]
            values += [self._value(work, table, c, names) for c in crossing]
            jobs += self._jobs(work, table)
            for part in parts:
                entries[part.segment.name] = self._entry(work, table, part)
        ordered = tuple(
            replace(entries[segment.name], after=self._after(segment, of_job)) for segment in given.segments
        )
        order = {device: tuple(names) for device, names in (given.plan.order).items() if names}
        return Manifest(
            name=given.instance.name,
            instance_hash=given.instance.hash(),
            devices=given.problem.devices,
            models=tuple(
                ModelEntry(name=name, file=network.path.name, sha256=network.sha256, seed=network.seed)
                for name, network in given.networks.items()
            ),
            segments=ordered,
            values=tuple(values),
            order=order,
            transfers=self._transfers(values, entries),
            jobs=tuple(jobs),
            predicted=given.predicted,
        )

    def _value(self, work: Work, table: ValueTable, crossing: Crossing, names: list[str]) -> Value:
        dtype, shape = table.type_of(typed(work, crossing.ref))
        return Value(
            id=table.id_of[crossing.ref],
            name=work.name(crossing.ref),
            task=table.task,
            job=table.job,
            dtype=dtype,
            shape=shape,
            source=None if crossing.source is None else names[crossing.source],
            targets=tuple(names[target] for target in crossing.targets),
            output=crossing.output,
            planned=crossing.ref in table.planned,
        )

    def _jobs(self, work: Work, table: ValueTable) -> Iterator[JobEntry]:
        """The networks of a job as they are in their own files."""
        for m, member in enumerate(work.members):
            network = member.network
            resolved = {name: work.resolve(Ref(m, name)) for name in (*network.inputs, *network.outputs)}
            yield JobEntry(
                task=member.task,
                job=table.job,
                model=member.model.name,
                inputs={n: table.id_of[resolved[n]] for n in network.inputs if resolved[n] in table.id_of},
                outputs={n: table.id_of[resolved[n]] for n in network.outputs},
            )

    def _entry(self, work: Work, table: ValueTable, part: Part) -> SegmentEntry:
        written = self._write(work, part)
        member = work.members[part.own[0].member]
        names = [work.members[node.member].network.nodes[node.node].name for node in part.own]
        prefix = len(f"{table.task}/{table.job}/")
        return SegmentEntry(
            name=part.segment.name,
            file=written.file,
            sha256=written.sha256,
            bytes=written.bytes,
            data=written.data,
            data_sha256=written.data_sha256,
            data_bytes=written.data_bytes,
            device=part.segment.device,
            model=member.model.name,
            task=table.task,
            job=table.job,
            layers=tuple(key[prefix:] for key in part.segment.layers),
            nodes=tuple(names),
            inputs=tuple(table.id_of[ref] for ref in part.inputs),
            outputs=tuple(table.id_of[ref] for ref in part.outputs),
        )

    def _write(self, work: Work, part: Part) -> _File:
        """Write the file of a part, unless one that is the same has been written for another job."""
        identity = (id(work.members[0].network), work.task, *part.nodes, *part.inputs, *part.outputs)
        if work.members[0].prefix == "":
            identity = (identity[0], *identity[2:])
        if identity in self.written:
            return self.written[identity]
        number = self.deployment.segments.index(part.segment)
        stem = f"{number:03d}-{plain_name(part.segment.device)}-{plain_name(part.segment.task)}"
        model, stored = part_model(work, part)
        size = sum(work.members[ref.member].network.weights.size(ref.name) for ref, _ in stored)
        data = self.folder / f"{stem}.weights" if size > self.inline_limit else None
        constants = store(stored_constants(model, work, stored), data)
        digest, count = write_model(self.folder / f"{stem}.onnx", model, constants)
        file = _File(file=f"{stem}.onnx", sha256=digest, bytes=count)
        if data is not None:
            file.data, file.data_sha256, file.data_bytes = data.name, file_sha256(data), data.stat().st_size
        self.written[identity] = file
        return file

    def _after(self, segment: Segment, of_job: Mapping[tuple[str, int], list[Segment]]) -> tuple[str, ...]:
        """Segments of the tasks that have to be done before this one's."""
        problem = self.deployment.problem
        jobs = [(job.task, job.number) for job in problem.jobs]
        mine = jobs.index((segment.task, segment.job))
        return tuple(
            other.name for a, b in problem.precedences if b == mine for other in of_job.get(jobs[a], ())
        )

    def _transfers(self, values: list[Value], entries: Mapping[str, SegmentEntry]) -> tuple[Transfer, ...]:
        sizes = dict(zip(self.deployment.problem.tensors, self.deployment.problem.size.tolist(), strict=True))
        found = []
        for value in values:
            if value.source is None:
                continue
            source = entries[value.source].device
            for target in dict.fromkeys(entries[name].device for name in value.targets):
                if target != source:
                    count = sizes[value.id] if value.planned else ValueTable.least_bytes(value)
                    found.append(Transfer(value=value.id, source=source, target=target, bytes=count))
        return tuple(found)
