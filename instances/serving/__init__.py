"""Early-exit networks: exits added to networks or found at their outputs, and the bundled instances of serving."""

from dnnplan.instances.serving.heads import with_exits
from dnnplan.instances.serving.outputs import exits_at_outputs

__all__ = ["exits_at_outputs", "with_exits"]
