"""Executing split plans with ONNX Runtime: a worker a device, queues between them, transfers as copies."""

from dnnplan.deploy.run.api import Outcome, run, run_folder
from dnnplan.deploy.run.cores import Seat, parse_cores, seats
from dnnplan.deploy.run.errors import RunError
from dnnplan.deploy.run.executor import Executor, Pass
from dnnplan.deploy.run.folder import Folder, open_folder
from dnnplan.deploy.run.report import RunReport

__all__ = [
    "Executor",
    "Folder",
    "Outcome",
    "Pass",
    "RunError",
    "RunReport",
    "Seat",
    "open_folder",
    "parse_cores",
    "run",
    "run_folder",
    "seats",
]
