"""Going before other processes while something is measured."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from dnnplan.instances.errors import InputError


@contextmanager
def ahead_of_others(wanted: bool = True, *, required: bool = True) -> Iterator[bool]:
    """Give the calling thread, and threads that it starts meanwhile, real-time priority (Linux, as root).

    What else the machine does then hardly disturbs what is measured. Yields whether it is so.

    Parameters
    ----------
    wanted
        False: nothing happens.
    required
        Whether it is an error where the system does not allow it.

    Raises
    ------
    InputError
        The system does not allow it.
    """
    allowed = wanted and _set("SCHED_RR", 1)
    if wanted and required and not allowed:
        raise InputError(
            "this system does not let this process go before others (Linux, as root); leave it out"
        )
    try:
        yield allowed
    finally:
        if allowed:
            _set("SCHED_OTHER", 0)


def _set(policy: str, priority: int) -> bool:
    try:
        os.sched_setscheduler(0, getattr(os, policy), os.sched_param(priority))
    except (AttributeError, OSError):
        return False
    return True
