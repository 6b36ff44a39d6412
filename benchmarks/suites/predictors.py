"""Where the numbers come from: analytic arrays, and predictors of phones and GPUs, on published tables."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.case import Measurement
from benchmarks.data import data_folder

SUMMARY = "latency models on published tables: SCALE-Sim, phones, GPUs"
MODULE = "benchmarks.predictor_measurements"
PHONES = ("mi8se", "pixel4", "iphonexs")
TRAINED_ON = (71, 30)
TABLES = "latency/qed_usc_mobile_ml_benchmark"


def cases() -> Iterator[Measurement]:
    """A measurement for each table and protocol; none without data."""
    if (data_folder() / TABLES).is_dir():
        yield Measurement(name="scale-sim", module=MODULE, seconds=20.0)
        yield Measurement(name="kernel-rule", module=MODULE, seconds=20.0)
        for phone in PHONES:
            for count in TRAINED_ON:
                yield Measurement(name=f"phone:{phone}-{count}", module=MODULE, seconds=240.0)
        yield Measurement(name="cpu-settings", module=MODULE, seconds=600.0)
        for operator in ("bmm", "linear", "conv"):
            yield Measurement(name=f"gpu:{operator}", module=MODULE, seconds=600.0)
        for phone in PHONES[:2]:
            yield Measurement(name=f"active:{phone}", module=MODULE, seconds=120.0)
        yield Measurement(name="speed", module=MODULE, seconds=120.0)
