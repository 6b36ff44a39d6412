"""The kernels that a network will run, from its optimised graph; the network itself is not run."""

from __future__ import annotations

import tempfile
from pathlib import Path

from dnnplan.costs.profile.graphs import Site, read_network, read_sites
from dnnplan.costs.profile.session import optimise
from dnnplan.costs.runtime.tables import Kernel
from dnnplan.instances.errors import UnsupportedError


def network_kernels(path: Path, batch: int = 1) -> list[Kernel]:
    """The kernels of an ONNX file as onnxruntime optimises it on this machine, for `RuntimePredictor`.

    Raises
    ------
    FormatError, InputError
        Not an ONNX file, or not one that can have this batch, or that the runtime takes.
    UnsupportedError
        A shape is only known when the network runs.
    """
    return kernels_of(read_network(path, batch), path.stem)


def kernels_of(data: bytes, name: str) -> list[Kernel]:
    """The same from the bytes of `read_network`."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "optimised.onnx"
        optimise(data, target, name)
        return [_kernel(site, node, name) for node, site in read_sites(target).items()]


def _kernel(site: Site, node: str, name: str) -> Kernel:
    if site.inputs is None or site.outputs is None:
        raise UnsupportedError(
            f"{name}: the shapes of {node!r} ({site.operator}) are only known when the network runs"
        )
    return Kernel(site.operator, site.inputs, site.outputs, site.attributes)
