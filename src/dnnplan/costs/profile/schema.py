"""The columns of profile tables (docs/profiling.md)."""

from __future__ import annotations

from typing import Any

import msgspec


class ProfileRow(msgspec.Struct, frozen=True, kw_only=True):
    """One operator, or one network end to end, in one setting.

    Attributes
    ----------
    key
        Of the measurement: what was measured, and the setting. Rows with one key were written together.
    scope
        `operator` or `network`.
    network
        File name without suffix, or `sample-SEED-NUMBER`.
    node, operator
        Name in the optimised graph, and operator as `graphs.operator_name`; empty for a network.
    inputs, outputs, attributes
        JSON: shapes of inputs (weights included) and outputs, and the attributes of the optimised node.
    threads, batch, utilisation
        The setting.
    runs
        Measured runs.
    seconds, low, high
        Median, 10th and 90th percentile of a run; of operators while profiled, of networks while not.
    kernels
        Kernels of one run of the network.
    device, runtime
        Processor, and name and version of the runtime.
    block
        Channels of a block where the runtime blocks them: 8 with AVX2, 16 with AVX-512. Tables without it were measured
        with 8.
    """

    key: str
    scope: str
    network: str
    node: str = ""
    operator: str = ""
    inputs: str = "[]"
    outputs: str = "[]"
    attributes: str = "{}"
    threads: int
    batch: int
    utilisation: float
    runs: int
    seconds: float
    low: float
    high: float
    kernels: int
    device: str
    runtime: str
    block: int = 8


COLUMNS: dict[str, type] = {field.name: field.type for field in msgspec.structs.fields(ProfileRow)}

ABSENT: dict[str, Any] = {
    field.name: field.default
    for field in msgspec.structs.fields(ProfileRow)
    if field.name not in ("node", "operator", "inputs", "outputs", "attributes") and not field.required
}
"""What columns hold that older tables do not have."""


def as_record(row: ProfileRow) -> dict[str, Any]:
    """A row as a mapping."""
    return msgspec.structs.asdict(row)
