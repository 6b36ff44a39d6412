"""`dnnplan pipe`: one process that plans for another one, in JSON lines."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from dnnplan.cli import exits
from dnnplan.cli import options as opt
from dnnplan.instances.errors import InputError


def pipe(
    *,
    at_once: Annotated[
        int | None, typer.Option(min=1, max=256, help="Requests that run at once; default: one a processor.")
    ] = None,
    waiting: Annotated[int, typer.Option(min=0, max=100_000, help="Requests that may wait.")] = 100,
    most_bytes: Annotated[int, typer.Option(min=1024, max=2**30, help="Longest line of input.")] = 16 * 2**20,
    longest: Annotated[
        float | None, typer.Option(min=0, metavar="S", help="Longest time limit of a request, seconds.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Most threads of a request; default: all processors.")
    ] = None,
) -> None:
    """Read requests as JSON, one a line, and write events as JSON, one a line, until the input ends.

    Methods: solve, check, evaluate, cancel, version. `dnnplan schema pipe-request` and `pipe-event` describe both.
    """
    from dnnplan.cli.pipe_server import PipeLimits, Server

    # Python has none where the one who started the process has closed them.
    if sys.stdin is None or sys.stdout is None:
        raise InputError("standard input or output is closed; start dnnplan pipe with pipes for both")
    limits = PipeLimits(
        at_once=at_once or opt.processors(),
        waiting=waiting,
        line=most_bytes,
        seconds=longest,
        workers=workers or opt.processors(),
    )
    try:
        Server(limits, sys.stdout.buffer).serve(sys.stdin.buffer)
    except KeyboardInterrupt:
        raise typer.Exit(exits.INTERRUPTED) from None
