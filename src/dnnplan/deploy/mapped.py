"""What a plan leaves to run: an instance and a plan of mapping, whatever problem the plan is of."""

from __future__ import annotations

from msgspec.structs import replace

from dnnplan.costs.mapping import MappingProblem
from dnnplan.instances import Instance, Plan, PlanError, UnsupportedError


def mapped(instance: Instance, plan: Plan) -> tuple[Instance, Plan]:
    """The instance whose layers are placed, and its plan of mapping.

    A plan of mapping and its instance are taken as they are. A joint plan has a task graph: its layers are those of the
    network that the task graph gives (`dnnplan.costs.sharing.expand`), of the one task ``shared``.

    Raises
    ------
    PlanError
        The plan was made for another instance, or places nothing.
    UnsupportedError
        A plan of a problem that places no layers.
    """
    if plan.instance and plan.instance != instance.hash():
        raise PlanError(
            f"the plan was made for the instance {plan.instance[:12]}..., got {instance.hash()[:12]}..."
        )
    if plan.problem not in ("mapping", "joint"):
        raise UnsupportedError(
            f"a plan of problem '{plan.problem}' places no layers on devices, expected one of 'mapping' or 'joint'"
        )
    if not plan.placement:
        raise PlanError("the plan has no placement: nothing says which device a layer runs on")
    bare = plan.extensions.copy()
    bare.pop("instance", None)
    if plan.problem == "joint":
        instance = _with_task_graph(instance, plan)
    plain = replace(
        plan, problem="mapping", instance=instance.hash(), groups=(), task_order=(), extensions=bare
    )
    return instance, plain


def _with_task_graph(instance: Instance, plan: Plan) -> Instance:
    from dnnplan.costs.sharing.expand import expand

    if not plan.groups:
        return replace(instance, sharing=None, ordering=None)
    return expand(instance, plan.groups)


def owners(plan: Plan, problem: MappingProblem) -> dict[str, str]:
    """The task that each layer is from, by its key, where a task graph was applied: ``shared/0/TASK/LAYER``."""
    if plan.problem != "joint" or not plan.groups:
        return {}
    return {key: key.split("/", 3)[2] for key in problem.layers}
