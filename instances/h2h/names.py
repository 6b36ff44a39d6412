"""Names of the instances of the H2H suite: ``h2h/vlocnet-0.125-cross``."""

from __future__ import annotations

from collections.abc import Iterator

from dnnplan.instances.h2h.build import h2h_instance
from dnnplan.instances.instance import Instance

H2H_LAYERS = {"vlocnet": 141, "casia-surf": 44, "vfs": 49, "facebag": 52, "cnn-lstm": 20, "mocap": 52}
H2H_DEVICES = 12
H2H_BANDWIDTHS = ("0.125", "0.25", "0.5", "1.25")
H2H_ENDINGS = {
    "": "",
    "-cross": ", with edges between streams",
    "-contention": ", on one link for all",
    "-cross-contention": ", with edges between streams, on one link for all",
}
"""What each ending of a name means; all but the last are listed."""


def h2h_rows() -> Iterator[tuple[str, str, int]]:
    """Name, what it is, and number of layers of the listed instances."""
    for model, layers in H2H_LAYERS.items():
        for bandwidth in H2H_BANDWIDTHS:
            for ending, note in list(H2H_ENDINGS.items())[:-1]:
                yield (
                    f"h2h/{model}-{bandwidth}{ending}",
                    f"H2H suite, {bandwidth} GB/s to the host{note}",
                    layers,
                )


def h2h_options(name: str) -> tuple[str, str, str] | None:
    """Model, bandwidth and ending of a name; None: not a name of the suite."""
    for model in H2H_LAYERS:
        for bandwidth in H2H_BANDWIDTHS:
            for ending in H2H_ENDINGS:
                if name == f"h2h/{model}-{bandwidth}{ending}":
                    return model, bandwidth, ending
    return None


def h2h_by_name(name: str) -> Instance:
    """The instance of a name of the suite."""
    options = h2h_options(name)
    if options is None:
        raise ValueError(f"{name} is no name of the H2H suite")
    model, bandwidth, ending = options
    return h2h_instance(
        model, float(bandwidth), cross="cross" in ending, contention="contention" in ending, name=name
    )
