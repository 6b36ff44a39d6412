"""Pages of the reference: which names of the package each of them shows, from their docstrings."""

from __future__ import annotations

PYTHON: dict[str, tuple[str, str, dict[str, list[str]]]] = {
    "dnnplan": (
        "dnnplan",
        "What `import dnnplan` gives: load, solve, judge, explain. Which of these names are stable: "
        "[inside other programs](../embedding.md#stable-names). The records `Instance`, `Plan` and `Result` are on "
        "[a page of their own](instances.md).",
        {
            "dnnplan.instances.loading": ["load"],
            "dnnplan.solvers.facade": ["solve", "compare"],
            "dnnplan.costs.evaluate": ["evaluate", "Evaluation"],
            "dnnplan.costs.check": ["check"],
            "dnnplan.costs.explain": ["explain", "Explanation"],
            "dnnplan.solvers.cancellation": ["Cancellation"],
        },
    ),
    "instances": (
        "dnnplan.instances",
        "The problem and the answer as data. Fields of files: [instance format](../instance-format.md).",
        {
            "dnnplan.instances.instance": ["Instance"],
            "dnnplan.instances.platform": [
                "Platform",
                "Device",
                "Memory",
                "Link",
                "Execution",
                "Power",
                "Mode",
            ],
            "dnnplan.instances.model": ["Model", "Layer", "Tensor", "DeviceRule"],
            "dnnplan.instances.task": ["Task", "Precedence"],
            "dnnplan.instances.sections": ["Costs", "Limits", "Ordering", "Sharing", "Workload"],
            "dnnplan.instances.plan": ["Plan", "Batch"],
            "dnnplan.instances.result": ["Result", "Cost", "ObjectiveValue", "Violation"],
            "dnnplan.instances.files": [],
            "dnnplan.instances.catalogue": ["bundled_names", "load_bundled", "combine"],
            "dnnplan.instances.bundled_platforms": ["platform_names", "load_platform"],
            "dnnplan.instances.graphs": [],
            "dnnplan.instances.cost_tables": [],
            "dnnplan.instances.what_if": [],
            "dnnplan.instances.errors": [],
        },
    ),
    "costs": (
        "dnnplan.costs",
        "The one cost model. Its equations: [cost model](../cost-model.md).",
        {
            "dnnplan.costs.resolve": [],
            "dnnplan.costs.mapping": ["MappingProblem", "Job"],
            "dnnplan.costs.decisions": ["Decisions", "decisions_of", "decode", "encode", "to_plan"],
            "dnnplan.costs.explain": ["Step", "Utilisation", "WhatIf"],
            "dnnplan.costs.joint": [],
            "dnnplan.costs.whole": ["WholeProblem", "WholeAnswer", "whole_problem"],
            "dnnplan.costs.sharing.grouping": [],
            "dnnplan.costs.sharing.selection": [],
            "dnnplan.costs.sharing.expand": ["expand"],
            "dnnplan.costs.sharing.affinity": [],
            "dnnplan.costs.ordering.problem": [],
            "dnnplan.costs.filled": ["fill_costs", "read_costs", "LayerCosts", "CostSource"],
            "dnnplan.costs.analytic.roofline": [],
            "dnnplan.costs.analytic.systolic": [],
            "dnnplan.costs.serving.capacity": [],
        },
    ),
    "solvers": (
        "dnnplan.solvers",
        "Everything that searches. Which solvers there are: [the overview](../overview.md#solvers); how to add one: "
        "[add a solver](../add-a-solver.md).",
        {
            "dnnplan.solvers.registry": ["Capabilities", "Solver", "get_solver", "solver_names"],
            "dnnplan.solvers.search": ["Progress", "Search", "Settings", "TaskSearch"],
            "dnnplan.solvers.pareto": ["ParetoFront", "ParetoPoint", "pareto_front"],
            "dnnplan.solvers.robustness": ["Stability", "stability"],
            "dnnplan.solvers.conformance": [],
            "dnnplan.solvers.replan.replanner": ["replan", "Replanner"],
            "dnnplan.solvers.replan.result": ["Replan", "ReplanResult", "Phase"],
        },
    ),
    "serving": (
        "dnnplan.serving",
        "Arrivals, an exact simulator, policies, and what they achieve. How: [serving](../serving.md).",
        {
            "dnnplan.serving.simulate": ["simulate", "Simulation", "Figures", "figures"],
            "dnnplan.serving.runs": ["PolicyRun", "run_policies", "latency_bound"],
            "dnnplan.serving.largest_rate": [],
            "dnnplan.serving.policies": [],
            "dnnplan.serving.arrivals": [],
            "dnnplan.serving.traces": [],
            "dnnplan.serving.metrics": [],
        },
    ),
    "deploy": (
        "dnnplan.deploy",
        "Acting on a plan: [splitting and exporting](../deploy.md), [running and calibrating](../running.md).",
        {
            "dnnplan.deploy.segments": [],
            "dnnplan.deploy.manifest": [],
            "dnnplan.deploy.split": [],
            "dnnplan.deploy.verify": [],
            "dnnplan.deploy.export": [],
            "dnnplan.deploy.retraining": [],
            "dnnplan.deploy.run.api": ["run", "run_folder", "Outcome"],
            "dnnplan.deploy.run.report": ["RunReport"],
            "dnnplan.deploy.run.cores": ["Seat", "parse_cores", "seats"],
            "dnnplan.deploy.calibrate.api": ["calibrate"],
            "dnnplan.deploy.calibrate.report": ["Calibration", "CalibrationReport"],
        },
    ),
    "reports": (
        "dnnplan.reports",
        "Pictures, tables, pages and records of runs. What a report says: [reports](../reports.md).",
        {
            "dnnplan.reports.runs.row": ["Row"],
            "dnnplan.reports.runs.store": ["Store"],
            "dnnplan.reports.runs.primal": [],
            "dnnplan.reports.schedule": [],
            "dnnplan.reports.gantt_figure": ["write_gantt"],
            "dnnplan.reports.gantt_text": ["gantt_text"],
            "dnnplan.reports.trace": [],
            "dnnplan.reports.serving_figure": ["write_serving"],
            "dnnplan.reports.task_plan_figure": ["write_task_plan"],
            "dnnplan.reports.trade_off_figure": ["write_trade_off"],
            "dnnplan.reports.whole_figure": ["write_whole_plan"],
            "dnnplan.reports.html.page": ["page"],
            "dnnplan.reports.html.document": ["Document"],
            "dnnplan.reports.html.store_document": ["store_document"],
            "dnnplan.reports.html.plan_document": ["plan_document"],
            "dnnplan.reports.comparison.curves": [],
            "dnnplan.reports.comparison.intervals": [],
            "dnnplan.reports.comparison.scaling": ["Fit", "fit_power"],
        },
    ),
}
"""Page -> title, first words, and modules with the names that are shown; an empty list means all public names."""


def python_page(name: str) -> str:
    """Markdown of one page, with the directives of mkdocstrings."""
    title, words, modules = PYTHON[name]
    parts = [f"# {title}", words]
    for module, names in modules.items():
        parts.append(f"## {module} {{ #{module.replace('.', '-')} }}")
        if names:
            parts += [f"::: {module}.{one}\n    options:\n      heading_level: 3" for one in names]
        else:
            parts.append(
                f"::: {module}\n    options:\n      show_root_heading: false\n      show_root_toc_entry: false"
            )
    return "\n\n".join(parts) + "\n"


def index_page() -> str:
    """The list of all pages of the reference."""
    rows = [
        f"| [`{title}`]({name}.md) | {words.split('. ')[0].rstrip('.')} |"
        for name, (title, words, _) in PYTHON.items()
    ]
    words = "Made from docstrings, help texts and schemas when the site is built."
    head = f"# Reference\n\n{words}\n\n| page | what it has |\n|---|---|"
    more = [
        "| [Commands](commands.md) | Every command with its options |",
        "| [Schemas](schemas.md) | JSON Schema of every file |",
    ]
    return "\n".join([head, *rows, *more]) + "\n"
