"""Texts of the form ``NAME=VALUE``."""

from __future__ import annotations

from collections.abc import Iterable

from dnnplan.instances.errors import InputError


def assignments(texts: Iterable[str] | None, what: str, form: str = "NAME=VALUE") -> dict[str, str]:
    """Values by name, from texts ``NAME=VALUE``; blanks around both are dropped.

    Parameters
    ----------
    what
        Where the texts are from, for messages.
    form
        What they should look like, for messages.

    Raises
    ------
    InputError
        There is no "=" in a text, nothing on one of its sides, or a name has a value already.

    Examples
    --------
    >>> assignments(["batch=1", "length = 8"], "--dim")
    {'batch': '1', 'length': '8'}
    """
    found: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value):
            raise InputError(f"{what} '{text}': expected {form}")
        if name in found:
            raise InputError(f"{what} '{text}': {name} is given twice")
        found[name] = value
    return found
