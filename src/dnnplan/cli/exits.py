"""Exit codes, and what errors look like on the command line."""

from __future__ import annotations

import errno
import logging
import os
import sys
import traceback
from typing import Any

import typer
from typer.core import TyperGroup

from dnnplan.cli.consoles import error_console
from dnnplan.instances.errors import DnnplanError, InfeasibleError, SolverError
from dnnplan.instances.result import Result

DONE = 0
FAILED = 1
"""`check` found violations, or the program itself failed."""
BAD_INPUT = 2
INFEASIBLE = 3
NONE_FOUND = 4
INTERRUPTED = 130

debug = {"on": False}
"""Whether tracebacks are shown; set by ``dnnplan --debug``."""


def exit_code(result: Result) -> int:
    """The exit code that a result stands for."""
    if result.plan is not None and result.valid:
        return DONE
    if result.status == "infeasible":
        return INFEASIBLE
    if result.stop_reason == "interrupted" and result.plan is None:
        return INTERRUPTED
    return NONE_FOUND


class CommandGroup(TyperGroup):
    """All commands; turns exceptions into one message on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except InfeasibleError as error:
            code = _say(error, f"infeasible: {error}", INFEASIBLE)
        except SolverError as error:
            code = _say(error, f"a solver failed: {error}", FAILED)
        except DnnplanError as error:
            code = _say(error, f"error: {error}", BAD_INPUT)
        except FileExistsError as error:
            code = _say(error, f"error: {error.args[-1] if len(error.args) == 1 else error}", BAD_INPUT)
        except OSError as error:
            if error.errno == errno.EPIPE:
                code = _closed_pipe()
            else:
                where = f"{error.filename}: " if error.filename else ""
                code = _say(error, f"error: {where}{error.strerror or error}", BAD_INPUT)
        except KeyboardInterrupt:
            code = INTERRUPTED
        except Exception as error:
            if _is_usage(error):
                raise
            hint = "" if debug["on"] else " (`dnnplan --debug ...` shows where)"
            code = _say(error, f"internal error: {type(error).__name__}: {error}{hint}", FAILED)
        raise typer.Exit(code)


def _is_usage(error: Exception) -> bool:
    """Whether typer itself says what is wrong: its own exceptions, and those of the click it is built on."""
    modules = [base.__module__ for base in type(error).__mro__]
    return any("click" in module or module.startswith("typer") for module in modules)


def _say(error: BaseException, message: str, code: int) -> int:
    error_console().print(message, markup=False, highlight=False, soft_wrap=True, style="red")
    if debug["on"]:
        traceback.print_exception(error, file=sys.stderr)
    return code


def _closed_pipe() -> int:
    """Somebody (`head`) has read enough: nothing more is written, and nothing is said."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return DONE


def send_logs(verbose: int) -> None:
    """Send warnings (more with `verbose`) of the library to stderr."""
    handler = _Handler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("dnnplan")
    logger.handlers = [handler]
    logger.setLevel({0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG))


class _Handler(logging.Handler):
    """Prints above the live display, if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        text = f"{record.levelname.lower()}: {self.format(record)}"
        error_console().print(text, markup=False, highlight=False, soft_wrap=True)
