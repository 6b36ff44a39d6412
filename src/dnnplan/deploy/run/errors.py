"""What goes wrong while a manifest is executed."""

from __future__ import annotations

from dnnplan.instances.errors import DnnplanError


class RunError(DnnplanError, RuntimeError):
    """A segment failed, or did not end in time; the message names it and its device.

    Parameters
    ----------
    segment, device
        Where it happened; empty where it cannot be told.
    """

    def __init__(self, message: str, *, segment: str = "", device: str = "") -> None:
        self.segment, self.device = segment, device
        super().__init__(message)
