"""Every reader of files or text of others: what it is fed with, and where seeds come from.

A reader takes bytes and a folder that is its own. It returns, or raises a `DnnplanError`; everything else is a finding.
What is accepted is used once where that is cheap: written and read again, resolved, checked.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzzing import mutations as mt
from benchmarks.fuzzing import seeds as sd
from dnnplan.instances import files
from dnnplan.instances.errors import DnnplanError
from dnnplan.instances.formats import FORMATS, read_with


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A reader.

    Attributes
    ----------
    feed
        Takes an input and a folder.
    share
        Parts of all inputs; cheap readers have more.
    prepare
        Writes what else the folder holds, once.
    """

    feed: Callable[[bytes, Path], object]
    seeds: Callable[[], list[bytes]]
    mutate: mt.Mutate
    share: float = 1.0
    prepare: Callable[[Path], object] | None = None
    packages: tuple[str, ...] = field(default=())


def _instance(data: bytes, syntax: files.Syntax) -> None:
    instance = files.loads_instance(data, syntax=syntax)
    again = files.loads_instance(files.dumps(instance), syntax="json")
    assert again == instance, "an instance that changes when it is written and read"
    from dnnplan.costs import mapping_problem

    if instance.platform is not None and instance.models and len(data) < 8192:
        mapping_problem(instance)


def _instance_json(data: bytes, folder: Path) -> None:
    _instance(data, "json")


def _instance_yaml(data: bytes, folder: Path) -> None:
    _instance(data, "yaml")


def _platform(data: bytes, folder: Path) -> None:
    stream = io.BytesIO(data)
    stream.name = "p.yaml"
    files.read_platform(stream)


def _plan(data: bytes, folder: Path) -> None:
    plan = files.loads_plan(data, syntax="json")
    assert files.loads_plan(files.dumps(plan), syntax="json") == plan, (
        "a plan that changes when it is written"
    )


@cache
def _hand() -> Any:
    import dnnplan

    return dnnplan.load("tiny/hand")


@cache
def _sharing() -> Any:
    from dnnplan.instances.generators import task_sharing

    return task_sharing(3, 2)


def _checked_plan(data: bytes, folder: Path) -> None:
    """`check` finds what is wrong with any plan; where it finds nothing, `evaluate` takes the plan."""
    from dnnplan.costs import evaluate
    from dnnplan.costs.check import check

    plan = files.loads_plan(data, syntax="json")
    broken = check(_hand(), plan)
    try:
        evaluate(_hand(), plan)
    except DnnplanError:
        assert broken, "evaluate refuses a plan that check lets pass"


def _checked_tasks(data: bytes, folder: Path) -> None:
    from dnnplan.costs.check import check

    check(_sharing(), files.loads_plan(data, syntax="json"))


def _result(data: bytes, folder: Path) -> None:
    files.read_result(io.BytesIO(data))


def _events(data: bytes, folder: Path) -> None:
    from dnnplan.instances.events import apply
    from dnnplan.instances.events.reading import loads_events

    apply(_hand(), [e for e in loads_events(data) if getattr(e, "file", None) is None])


def _pipe(data: bytes, folder: Path) -> None:
    """Lines to a server that checks and evaluates, and reads what it is asked to solve."""
    from dnnplan.cli import pipe_methods
    from dnnplan.cli.pipe_server import PipeLimits, Server

    def only_read(request: Any, limits: Any, cancel: Any, tell: Any) -> dict[str, Any]:
        pipe_methods._instance(request)
        if request.warm_start is not None:
            pipe_methods._plan(request.warm_start, "warm_start")
        return {}

    pipe_methods.METHODS["solve"] = only_read
    out = io.BytesIO()
    Server(PipeLimits(), out).serve(io.BytesIO(data))
    said = out.getvalue()
    assert b"InternalError" not in said, said[-2000:].decode("utf-8", "replace")
    for line in said.splitlines():
        assert line.startswith(b"{"), line


def _conditions(data: bytes, folder: Path) -> None:
    from dnnplan.instances.conditions import read_conditions, with_conditions

    path = _write(folder, "c.json", data)
    with_conditions(_sharing(), read_conditions(path, [t.name for t in _sharing().tasks]))


def _manifest(data: bytes, folder: Path) -> None:
    from dnnplan.deploy.folder import dumps_manifest, loads_manifest

    manifest = loads_manifest(data)
    assert loads_manifest(dumps_manifest(manifest).encode()) == manifest, "a manifest that changes"


def _manifest_folder(data: bytes, folder: Path) -> None:
    from dnnplan.deploy.folder import part_path, read_manifest

    (folder / "split" / "manifest.json").write_bytes(data)
    for segment in read_manifest(folder / "split").segments:
        part_path(folder / "split", segment)


def _format(name: str, file: str) -> Callable[[bytes, Path], None]:
    def feed(data: bytes, folder: Path) -> None:
        read_with(_write(folder, file, data), name, {})

    return feed


def _detected(data: bytes, folder: Path) -> None:
    for file in ("x.json", "x.txt", "x.csv"):
        try:
            read_with(_write(folder, file, data), None, {})
        except DnnplanError:
            continue


def _onnx(data: bytes, folder: Path) -> None:
    read_with(_write(folder, "net.onnx", data), "onnx", {"dims": {"batch": 1}})


def _onnx_sites(data: bytes, folder: Path) -> None:
    from dnnplan.costs.profile.graphs import read_sites

    read_sites(_write(folder, "net.onnx", data))


def _onnx_weights(data: bytes, folder: Path) -> None:
    from dnnplan.deploy.network import read_network

    read_network(_write(folder, "net.onnx", data), light=True)


def _predictor(data: bytes, folder: Path) -> None:
    from dnnplan.costs.runtime.files import load_predictor

    (folder / "predictor" / "predictor.json").write_bytes(data)
    load_predictor(folder / "predictor")


def _operators(data: bytes, folder: Path) -> None:
    from dnnplan.costs.predict.files import load_model

    load_model(_write(folder, "m.npz", data))


def _modules(data: bytes, folder: Path) -> None:
    from dnnplan.costs.predict.module_files import load_modules

    (folder / "modules" / "modules.json").write_bytes(data)
    load_modules(folder / "modules")


def _medn(data: bytes, folder: Path) -> None:
    from dnnplan.costs.predict.medn_files import load_medn

    load_medn(_write(folder, "m.npz", data))


def _whole(data: bytes, folder: Path) -> None:
    from dnnplan.costs.predict.whole_records import load_whole

    load_whole(_write(folder, "w.json", data))


def _costs(data: bytes, folder: Path) -> None:
    from dnnplan.costs.filled import read_costs

    _write(folder, "costs.json", data)
    read_costs(folder)


def _store(data: bytes, folder: Path) -> None:
    from dnnplan.reports.runs import Store

    path = _write(folder, "s.sqlite", data)
    for ending in ("-wal", "-shm", "-journal"):
        (folder / f"s.sqlite{ending}").unlink(missing_ok=True)
    for read_only in (True, False):
        with Store(path, read_only=read_only) as store:
            store.problems()
            store.rows()


def _trace(data: bytes, folder: Path) -> None:
    from dnnplan.serving.spec import read_trace

    read_trace(_write(folder, "t.csv", data))


@cache
def _serving() -> Any:
    from dnnplan.costs.serving import serving_problem
    from dnnplan.instances.catalogue import load_bundled

    return serving_problem(load_bundled("serving/resnet50-os32"))


def _arrivals(data: bytes, folder: Path) -> None:
    from dnnplan.serving.spec import arrivals_of

    arrivals_of(data.decode("utf-8", "replace"), _serving(), 100.0)


def _samples(data: bytes, folder: Path) -> None:
    from dnnplan.costs.sharing.activations import read_samples

    read_samples(_write(folder, "s.npz", data))


def _inputs(data: bytes, folder: Path) -> None:
    from dnnplan.deploy.run.inputs import read_inputs

    read_inputs(_write(folder, "i.npz", data))


def _tables(data: bytes, folder: Path) -> None:
    from dnnplan.costs.predict import layouts

    path = _write(folder, "t.csv", data)
    for read in (
        lambda: layouts.read_qed_usc(path, "mi8se|gpu|float"),
        lambda: layouts.read_qed_usc_graphs(path),
        lambda: layouts.read_qed_usc_networks(path, "mi8se|gpu|float"),
        lambda: layouts.read_neusight([path]),
    ):
        try:
            read()
        except DnnplanError:
            continue


def _cost_table(data: bytes, folder: Path) -> None:
    from dnnplan.instances.cost_tables import with_cost_table

    with_cost_table(_hand(), _write(folder, "c.csv", data))


def _kernel_trace(data: bytes, folder: Path) -> None:
    from dnnplan.costs.profile.trace import read_trace

    read_trace(_write(folder, "t.json", data), np.array([False, True]))


def _profile(data: bytes, folder: Path) -> None:
    from dnnplan.costs.profile.store import ProfileTable

    ProfileTable(_write(folder, "t.parquet", data)).read()


def _front(data: bytes, folder: Path) -> None:
    from dnnplan.instances.json_text import parse_json
    from dnnplan.reports.html.front_document import front_document, read_front

    tree = parse_json(data)
    if isinstance(tree, dict):
        read_front(tree, "front")
        front_document(tree, name="front")


def _options(data: bytes, folder: Path) -> None:
    """One word of the command line for each of its little languages."""
    from dnnplan.cli import options
    from dnnplan.deploy.run.cores import parse_cores
    from dnnplan.instances.objective import parse_objective

    text = data.decode("utf-8", "replace")
    for parse in (
        parse_objective,
        *(_listed(f) for f in (options.parse_dims, options.parse_limits, options.parse_options, parse_cores)),
        options.parse_solvers,
    ):
        try:
            parse(text)
        except DnnplanError:
            continue


def _listed(parse: Callable[[list[str]], object]) -> Callable[[str], object]:
    return lambda text: parse([text])


def _write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


_FILES = {
    "saga": "x.json",
    "auckland": "x.json",
    "hetero-dag": "x.dag",
    "fjsp": "x.txt",
    "dnn-partitioning": "x.json",
    "hax-conn": "x.csv",
    "tsplib": "tiny.sop",
    "ssp": "tiny.txt",
    "antler": "tiny.json",
    "affinity": "tiny.json",
    "tag": "tiny.json",
    "standley": "tiny.txt",
}

READERS: dict[str, Reader] = {
    "instance-json": Reader(feed=_instance_json, seeds=sd.instance_json, mutate=mt.JSON, share=6),
    "instance-yaml": Reader(feed=_instance_yaml, seeds=sd.instance_yaml, mutate=mt.YAML, share=2),
    "platform": Reader(feed=_platform, seeds=sd.platforms, mutate=mt.YAML, share=2),
    "plan": Reader(feed=_plan, seeds=sd.plans, mutate=mt.JSON, share=6),
    "plan-checked": Reader(feed=_checked_plan, seeds=sd.hand_plans, mutate=mt.JSON, share=3),
    "task-plan-checked": Reader(feed=_checked_tasks, seeds=sd.task_plans, mutate=mt.JSON, share=3),
    "result": Reader(feed=_result, seeds=sd.results, mutate=mt.JSON, share=4),
    "events": Reader(feed=_events, seeds=sd.events, mutate=mt.JSON, share=6),
    "pipe": Reader(feed=_pipe, seeds=sd.pipe, mutate=mt.JSON, share=2),
    "conditions": Reader(feed=_conditions, seeds=sd.conditions, mutate=mt.JSON, share=6),
    "manifest": Reader(
        feed=_manifest,
        mutate=mt.JSON,
        share=3,
        seeds=sd.in_folder(sd.manifest_folder, "manifest.json"),
        packages=("onnx",),
    ),
    "manifest-folder": Reader(
        feed=_manifest_folder,
        mutate=mt.JSON,
        seeds=sd.in_folder(sd.manifest_folder, "manifest.json"),
        prepare=sd.manifest_folder,
        packages=("onnx",),
    ),
    **{
        name: Reader(
            feed=_format(name, file),
            seeds=sd.foreign(name),
            mutate=mt.JSON if file.endswith("json") else mt.TEXT,
            share=3,
        )
        for name, file in _FILES.items()
    },
    "detected": Reader(
        feed=_detected, seeds=lambda: [s for n in _FILES for s in sd.foreign(n)()], mutate=mt.TEXT
    ),
    "onnx": Reader(feed=_onnx, seeds=sd.onnx, mutate=mt.mutate_proto, packages=("onnx",)),
    "onnx-sites": Reader(feed=_onnx_sites, seeds=sd.onnx, mutate=mt.mutate_proto, packages=("onnx",)),
    "onnx-weights": Reader(feed=_onnx_weights, seeds=sd.onnx, mutate=mt.mutate_proto, packages=("onnx",)),
    "predictor": Reader(
        feed=_predictor,
        seeds=sd.in_folder(sd.predictor_folder, "predictor.json"),
        mutate=mt.JSON,
        prepare=lambda folder: sd.predictor_folder(folder / "predictor"),
    ),
    "operators": Reader(
        feed=_operators, seeds=sd.in_folder(sd.predictor_folder, "*.npz"), mutate=mt.mutate_arrays
    ),
    "modules": Reader(
        feed=_modules,
        seeds=sd.in_folder(sd.modules_folder, "modules.json"),
        mutate=mt.JSON,
        share=3,
        prepare=lambda folder: sd.modules_folder(folder / "modules"),
    ),
    "medn": Reader(
        feed=_medn, seeds=sd.in_folder(sd.medn_file, "*.npz"), mutate=mt.mutate_arrays, packages=("torch",)
    ),
    "whole-model": Reader(feed=_whole, seeds=sd.whole, mutate=mt.JSON, share=6),
    "costs": Reader(feed=_costs, seeds=sd.costs, mutate=mt.JSON, share=6),
    "store": Reader(feed=_store, seeds=sd.store, mutate=mt.mutate_bytes),
    "arrival-trace": Reader(
        feed=_trace, seeds=sd.texts("0\n0.5\n0.75\n", "name,time\na,0\nb,1.5\n"), mutate=mt.TEXT, share=6
    ),
    "arrivals": Reader(
        feed=_arrivals,
        mutate=mt.mutate_bytes,
        share=6,
        seeds=sd.texts("poisson:0.7", "gamma:0.7,4", "mmpp:0.7,8,50", "periodic:0.5,0.1"),
    ),
    "samples": Reader(feed=_samples, seeds=sd.arrays, mutate=mt.mutate_arrays),
    "inputs": Reader(feed=_inputs, seeds=sd.arrays, mutate=mt.mutate_arrays),
    "operator-tables": Reader(feed=_tables, seeds=sd.tables, mutate=mt.TEXT, share=3),
    "cost-table": Reader(feed=_cost_table, seeds=sd.cost_table, mutate=mt.TEXT, share=3),
    "kernel-trace": Reader(feed=_kernel_trace, seeds=sd.kernel_trace, mutate=mt.JSON, share=6),
    "profile": Reader(
        feed=_profile,
        seeds=sd.in_folder(sd.profile_folder, "*.parquet"),
        mutate=mt.mutate_bytes,
        packages=("pyarrow", "onnx", "onnxruntime"),
    ),
    "front": Reader(feed=_front, seeds=sd.front, mutate=mt.JSON, packages=("plotly",)),
    "options": Reader(
        feed=_options,
        mutate=mt.mutate_bytes,
        share=6,
        seeds=sd.texts(
            "latency,energy", "2*switching+3*size", "batch=1", "gpu=0,2-3", "energy=3e-3", "auto,heft"
        ),
    ),
}
assert set(_FILES) | {"onnx", "native"} == set(FORMATS), "a format that is not fuzzed"
