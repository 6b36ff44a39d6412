"""Sessions of the runtime for sub-models, and numbers for their inputs."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dnnplan.costs.profile.extras import onnxruntime
from dnnplan.costs.profile.setting import available_cores, pin
from dnnplan.deploy.run.cores import CPU, Seat
from dnnplan.instances.errors import InputError, UnsupportedError

Array = np.ndarray[Any, Any]
DTYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(int16)": np.int16,
    "tensor(int8)": np.int8,
    "tensor(uint64)": np.uint64,
    "tensor(uint32)": np.uint32,
    "tensor(uint16)": np.uint16,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}
"""Types that numpy and the runtime share."""
MOST_BYTES = 2**31
"""Bytes of one input that are made up; more is refused."""
MOST_DIMENSIONS = 32
"""Dimensions of one input; every version of numpy takes that many."""


def open_session(
    source: Path | bytes,
    seat: Seat,
    label: str,
    *,
    alone: bool = True,
    optimised: Path | None = None,
    **more: Any,
) -> Any:
    """A session whose threads are the cores of a seat: the calling thread is the first, and pins itself.

    Parameters
    ----------
    label
        What it is, for messages.
    alone
        Whether its cores are its own; if not, its threads do not wait for work by spinning.
    optimised
        Where the graph as the runtime optimises it is written.
    more
        Members of the session's options, such as ``enable_profiling``.

    Raises
    ------
    InputError
        The runtime does not have the provider, or does not take the model.
    MissingDependencyError
        onnxruntime is not installed.
    """
    runtime = onnxruntime()
    known = runtime.get_available_providers()
    if seat.provider not in known:
        raise InputError(f"provider {seat.provider!r} is not in this onnxruntime; it has {', '.join(known)}")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = len(seat.cores)
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    if optimised is not None:
        options.optimized_model_filepath = str(optimised)
    for name, value in more.items():
        setattr(options, name, value)
    if len(seat.cores) > 1:
        # The threads beside the calling one; the runtime counts cores from 1.
        helpers = ";".join(str(core + 1) for core in seat.cores[1:])
        options.add_session_config_entry("session.intra_op_thread_affinities", helpers)
        # A session of another segment may want the same cores next.
        options.add_session_config_entry("session.force_spinning_stop", "1")
    if not alone:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers = [seat.provider] if seat.provider == CPU else [seat.provider, CPU]
    given = source if isinstance(source, bytes) else str(source)
    refused = runtime_errors()
    try:
        return runtime.InferenceSession(given, options, providers=providers)
    except refused as error:
        raise InputError(f"{label}: not accepted by onnxruntime: {short(error)}") from None


def runtime_errors() -> tuple[type[BaseException], ...]:
    """What the runtime raises."""
    state = onnxruntime().capi.onnxruntime_pybind11_state
    names = (
        "Fail",
        "InvalidArgument",
        "InvalidGraph",
        "NotImplemented",
        "RuntimeException",
        "InvalidProtobuf",
    )
    more = ("NoSuchFile", "NoModel", "EngineError", "ModelLoaded", "EPFail")
    found = tuple(getattr(state, name) for name in (*names, *more) if hasattr(state, name))
    return (*found, ValueError, RuntimeError, MemoryError)


def short(error: BaseException) -> str:
    """The message of an error in one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__


@contextmanager
def pinned(cores: Sequence[int]) -> Iterator[None]:
    """Keep the calling thread on some cores for a while."""
    before = available_cores()
    pin(list(cores))
    try:
        yield
    finally:
        pin(before)


def made_up(name: str, kind: str, shape: Sequence[int | str], batch: int = 1) -> Array:
    """Numbers for an input: normal ones seeded by its name, and zeros for whole numbers, which are valid indices.

    A first size that is not a number becomes `batch`, others 1.

    Raises
    ------
    UnsupportedError
        A type that is not of numbers.
    InputError
        More than 2 GiB, or more than 32 dimensions.
    """
    if kind not in DTYPES:
        raise UnsupportedError(f"input {name!r} has type {kind}: no numbers can be made up for it")
    dtype = np.dtype(DTYPES[kind])
    free = [batch, *[1] * len(shape)]
    sizes = [
        size if isinstance(size, int) and size >= 0 else other
        for size, other in zip(shape, free, strict=False)
    ]
    # Sizes of 0 do not make the others harmless.
    total = float(np.prod([float(size) for size in sizes if size])) * dtype.itemsize
    if total > MOST_BYTES:
        raise InputError(
            f"input {name!r} of shape {sizes} has {total:.3g} bytes, expected at most {MOST_BYTES}"
        )
    if len(sizes) > MOST_DIMENSIONS:
        raise InputError(f"input {name!r} has {len(sizes)} dimensions, expected at most {MOST_DIMENSIONS}")
    if dtype.kind == "f":
        random = np.random.default_rng(zlib.crc32(name.encode()))
        return random.standard_normal(sizes).astype(dtype)
    return np.ones(sizes, dtype) if dtype.kind == "b" else np.zeros(sizes, dtype)
