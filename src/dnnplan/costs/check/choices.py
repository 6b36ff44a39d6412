"""Rules on the smaller decisions: instance hash, numbers, pinned weights, kept tensors."""

from __future__ import annotations

from math import isfinite

from dnnplan.costs.check.rules import Findings
from dnnplan.costs.check.setting import Setting
from dnnplan.costs.check.structure import Decisions
from dnnplan.instances import Plan


def check_instance(setting: Setting, plan: Plan, found: Findings) -> None:
    """Rule `instance`: a plan that says which instance it is for is checked against no other."""
    if plan.instance:
        own = setting.instance.hash()
        if plan.instance != own:
            found.report(
                "instance",
                "instance",
                f"the plan was made for instance {plan.instance[:12]}, this is {own[:12]}",
            )


def check_numbers(plan: Plan, found: Findings) -> None:
    """Rule `number`: moments are finite and not negative, and no call ends before it starts."""
    for name, moment in plan.not_before.items():
        if not (isfinite(moment) and moment >= 0):
            found.report("number", name, f"not_before of {name} is {moment}, expected a finite number >= 0")
    for name, (start, end) in plan.times.items():
        if not (isfinite(start) and isfinite(end) and start >= 0):
            found.report(
                "number", name, f"times of {name} are ({start}, {end}), expected finite numbers >= 0"
            )
        elif end < start:
            found.report(
                "number", name, f"call {name} ends {start - end:g} s before it starts", start - end, "s"
            )


def weights_on(setting: Setting, decisions: Decisions) -> list[dict[str, float]]:
    """Bytes of the weights (``model/layer``) of the layers placed on each device."""
    needed: list[dict[str, float]] = [{} for _ in setting.ends.devices]
    for number, device in enumerate(decisions.device_of):
        if device >= 0 and setting.layers[number].weight_bytes:
            layer = setting.layers[number]
            needed[device][f"{setting.job_of[number].model.name}/{layer.name}"] = layer.weight_bytes
    return needed


def read_pinned(
    setting: Setting, plan: Plan, decisions: Decisions, found: Findings
) -> list[dict[str, float]]:
    """Rule `pinned`; bytes of the weights pinned on each device, by name (docs/cost-model.md, 4.3)."""
    needed = weights_on(setting, decisions)
    setting_of = "resident" if setting.ends.host is None else setting.execution.weights
    listed = listed_pins(setting, plan, needed, found)
    if setting_of == "choice":
        return listed
    if setting_of == "streamed":
        for device, pins in enumerate(listed):
            for name in pins:
                where = setting.ends.devices[device].name
                found.report(
                    "pinned", name, f"weight {name} is pinned on {where}, but execution.weights is streamed"
                )
        return [{} for _ in needed]
    if setting.execution.weights == "resident" and any(plan.pinned.values()):
        for device, weights in enumerate(needed):
            for name in weights:
                if name not in listed[device]:
                    where = setting.ends.devices[device].name
                    found.report(
                        "pinned",
                        name,
                        f"weight {name} is not pinned on {where}, but all weights are resident",
                    )
    return needed


def listed_pins(
    setting: Setting, plan: Plan, needed: list[dict[str, float]], found: Findings
) -> list[dict[str, float]]:
    """The weights that `plan.pinned` lists, after reporting unknown, repeated and needless ones."""
    weights = {
        f"{model.name}/{layer.name}": layer.weight_bytes
        for model in setting.models.values()
        for layer in model.layers
    }
    listed: list[dict[str, float]] = [{} for _ in needed]
    for device_name, names in plan.pinned.items():
        device = setting.ends.index.get(device_name)
        if device is None:
            found.report("unknown", device_name, f"pinned names unknown device {device_name!r}")
            continue
        for name in names:
            if name not in weights:
                found.report("unknown", name, f"pinned on {device_name}: unknown weight {name!r}")
            elif name in listed[device]:
                found.report("pinned", name, f"weight {name} is pinned twice on {device_name}")
            else:
                listed[device][name] = weights[name]
                if weights[name] and name not in needed[device]:
                    message = f"weight {name} is pinned on {device_name}, where its layer does not run"
                    found.report("pinned", name, message, float(weights[name]), "B")
    return listed


def read_kept(
    setting: Setting, plan: Plan, decisions: Decisions, found: Findings
) -> set[tuple[int, str, int]]:
    """Rules `kept` and `unknown`; the kept pairs as (job, tensor name, device)."""
    jobs = {job.key(""): job for job in setting.jobs}
    tensors = {
        (model.name, tensor.name): tensor for model in setting.models.values() for tensor in model.tensors
    }
    kept: set[tuple[int, str, int]] = set()
    for key, device_name in plan.kept:
        parts = key.split("/", 2)
        job = jobs.get("/".join(parts[:2]) + "/")
        tensor = tensors.get((job.model.name, parts[2])) if job is not None and len(parts) == 3 else None
        device = setting.ends.index.get(device_name)
        if tensor is None or job is None:
            found.report("unknown", key, f"kept names unknown tensor {key!r}")
            continue
        if device is None:
            found.report("unknown", key, f"tensor {key} is kept on unknown device {device_name!r}")
            continue
        pair = (job.index, tensor.name, device)
        readers = [job.first + job.layer_index[name] for name in tensor.targets]
        if pair in kept:
            found.report("kept", key, f"tensor {key} is kept twice on {device_name}")
        elif not any(decisions.device_of[number] in (device, -1) for number in readers):
            found.report("kept", key, f"tensor {key} is kept on {device_name}, where no layer reads it")
        kept.add(pair)
    return kept
