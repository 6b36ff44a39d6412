"""Every error that dnnplan raises on purpose."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

LISTED = 100
"""How many problems the message of an error lists; `problems` holds all of them."""
LONGEST, LONGEST_LISTED = 20_000, 900
"""Characters of a message, and of each problem that it lists; names in a file may be as long as the file."""


class DnnplanError(Exception):
    """Root of all errors raised by dnnplan itself."""


class Problem(Struct, frozen=True):
    """One thing that is wrong with an input: where, what was found, what was expected."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class InputError(DnnplanError, ValueError):
    """The input cannot be used; `problems` lists every reason found.

    Parameters
    ----------
    message
        A headline when there is one reason; otherwise it is made from `problems`.
    problems
        All reasons, in reading order.
    source
        The file or name that was read, for the message.
    """

    def __init__(
        self, message: str = "", problems: Sequence[Problem] = (), source: str | None = None
    ) -> None:
        self.problems = tuple(problems) or (Problem("", message),)
        self.source = source
        head = f"{source}: " if source else ""
        if message and not problems:
            text = head + _cut(message, LONGEST)
        elif len(self.problems) == 1:
            text = head + _cut(str(self.problems[0]), LONGEST)
        else:
            listed = (f"  {_cut(str(p), LONGEST_LISTED)}" for p in self.problems[:LISTED])
            lines = [f"{head}{len(self.problems)} problems", *listed]
            if len(self.problems) > LISTED:
                lines.append(f"  ... and {len(self.problems) - LISTED} more")
            text = "\n".join(lines)
        super().__init__(text)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]} ..."


class FormatError(InputError):
    """The file is not of the format it should be (damaged, hostile, too large, unknown)."""


class InstanceError(InputError):
    """The instance is readable but not a valid instance."""


class PlanError(InputError):
    """The plan does not fit its instance (unknown layer or device, missing decision, deadlock)."""


class UnsupportedError(DnnplanError, ValueError):
    """A valid request that this solver, format or setting does not cover; the message says what does."""


class InfeasibleError(DnnplanError, ValueError):
    """No plan can exist, for a reason that is known without search."""


class MissingDependencyError(DnnplanError, ImportError):
    """An optional package is needed; the message says which extra installs it."""


class PluginError(DnnplanError, RuntimeError):
    """What another package registered with dnnplan cannot be used; the message names the package and what is wrong."""


class SolverError(DnnplanError, RuntimeError):
    """A native back end failed or contradicted itself."""
