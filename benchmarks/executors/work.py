"""What a worker does, wherever it is: run one task in a process of its own and answer, in JSON both ways."""

from __future__ import annotations

import hashlib
import os
import threading
from functools import cache
from pathlib import Path

import msgspec

from benchmarks.case import Answer, SealedTask
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.process import Turn, run_in_process
from dnnplan.reports.runs.row import LOST, REFUSED

ATTEMPTS = 2
"""A process that somebody else ends costs one more attempt."""


def run_task(task: bytes, turn: Turn | None = None) -> bytes:
    """Run a `Task` within its limits; the answer is an `Answer`.

    Only data goes in and out. A worker that runs other code than the sweep was started with says so and does
    nothing: its numbers would be filed under versions that they do not come from.
    """
    asked = msgspec.json.decode(task, type=SealedTask)
    if asked.code and asked.code != code_digest():
        error = (
            f"the worker runs other code, {code_digest()}, than the sweep, {asked.code}: update its checkout"
        )
        return msgspec.json.encode(Answer(error=error, ended=REFUSED, worker=worker_name()))
    attempt, answer = 0, Answer(ended=LOST)
    while answer.ended == LOST and attempt < ATTEMPTS:
        attempt += 1
        answer = run_in_process(bytes(asked.job), patience=asked.patience, memory=asked.memory, turn=turn)
    return msgspec.json.encode(
        msgspec.structs.replace(
            answer, attempts=attempt, worker=worker_name(turn), machine=describe_machine()
        )
    )


@cache
def code_digest() -> str:
    """Digest of the library and of the harness, of which both sides need the same."""
    digest = hashlib.sha256(describe_versions()["code"].encode())
    root = Path(__file__).resolve().parent.parent
    for file in sorted(root.rglob("*.py")):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


def worker_name(turn: Turn | None = None) -> str:
    """A name that tells the workers of a sweep apart; the sweep gives them numbers instead."""
    place = threading.get_ident() if turn is None else turn.last
    return f"{os.uname().nodename if hasattr(os, 'uname') else ''}/{os.getpid()}/{place}"
