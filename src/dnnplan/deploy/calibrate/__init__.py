"""Fitting the cost model to this machine: times of layers, overheads of calls, links, contention."""

from dnnplan.deploy.calibrate.api import calibrate
from dnnplan.deploy.calibrate.gather import gather
from dnnplan.deploy.calibrate.gathered import Gathered
from dnnplan.deploy.calibrate.report import Calibration, CalibrationReport

__all__ = ["Calibration", "CalibrationReport", "Gathered", "calibrate", "gather"]
