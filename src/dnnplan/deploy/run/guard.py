"""Doing something in a thread of its own, so that Ctrl-C and a time limit end the wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from dnnplan.deploy.run.errors import RunError
from dnnplan.instances.errors import InputError

T = TypeVar("T")
GRACE = 5.0
"""Seconds that work gets to end after it was cancelled: a process that ends while native code runs is aborted."""


def require_timeout(seconds: float) -> None:
    """Refuse a time limit that threads cannot wait for.

    Raises
    ------
    InputError
        Not a finite number of seconds above 0, or more than `threading.TIMEOUT_MAX`.
    """
    if not 0 < seconds <= threading.TIMEOUT_MAX:
        raise InputError(f"timeout {seconds:g}: expected seconds above 0, at most {threading.TIMEOUT_MAX:g}")


class Guarded(Generic[T]):
    """Work in a thread: the caller waits, and `cancel` is called if it waits too long or is interrupted.

    Native code does not see Ctrl-C before it returns; a thread that waits does.
    """

    def __init__(self, work: Callable[[], T], cancel: Callable[[], None]) -> None:
        self._work, self._cancel = work, cancel
        self._found: list[T] = []
        self._error: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, name="dnnplan-guarded", daemon=True)

    def wait(self, timeout: float, what: Callable[[], str]) -> T:
        """The result.

        Raises
        ------
        RunError
            It takes longer than `timeout` seconds; `what` says what was going on.
        """
        self._thread.start()
        try:
            self._thread.join(timeout)
        except BaseException:
            self._give_up()
            raise
        if self._error:
            raise self._error[0]
        if not self._found:
            doing = what()
            self._give_up()
            raise RunError(f"{doing} takes longer than {timeout:g} s")
        return self._found[0]

    def _give_up(self) -> None:
        self._cancel()
        self._thread.join(GRACE)

    def _run(self) -> None:
        try:
            self._found.append(self._work())
        except BaseException as error:
            self._error.append(error)


def terminate(options: list[Any]) -> None:
    """Ask all runs with these options of the runtime to end."""
    for option in options:
        option.terminate = True
