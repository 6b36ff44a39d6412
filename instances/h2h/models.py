"""The six models of the H2H suite: layer sizes by stream, and the edges between streams.

Sizes and edges: the public code of MARCH (github.com/dkgzc/MARCH), which extends that of H2H; all layers that it
defines. It names only VLocNet; the other names follow from structure and totals of parameters.
"""

from __future__ import annotations

from typing import NamedTuple

from dnnplan.instances.h2h.layers import AnyLayer, Conv, Dense, Lstm

Stream = tuple[AnyLayer, ...]


class Modal(NamedTuple):
    """A model of several streams (modalities), each a chain of layers.

    Parameters
    ----------
    streams
        Chains; layer l of stream s is called ``M{s}L{l}``, counted from 1.
    cross
        Edges between layers, mostly of different streams, in addition to the chains.
    """

    what: str
    streams: tuple[Stream, ...]
    cross: tuple[tuple[str, str], ...] = ()


def square(channels: int, inputs: int, side: int, kernel: int = 3, times: int = 1) -> Stream:
    """Some equal convolutions on a square map."""
    return (Conv(channels, inputs, side, side, kernel),) * times


def bottlenecks(width: int, inputs: int, side: int, blocks: int) -> Stream:
    """Blocks of a 1 x 1, a 3 x 3 and a widening 1 x 1 convolution; `inputs` is what the first block reads."""
    layers: Stream = ()
    for block in range(blocks):
        first = inputs if block == 0 else 4 * width
        layers += (
            square(width, first, side, 1) + square(width, width, side) + square(4 * width, width, side, 1)
        )
    return layers


TRUNK: Stream = (
    bottlenecks(64, 3, 224, 1)
    + bottlenecks(128, 256, 112, 3)
    + bottlenecks(256, 512, 56, 4)
    + bottlenecks(512, 1024, 28, 5)
)
"""The residual trunk of VLocNet, also a stream of MoCap."""
LOCATION: Stream = (*bottlenecks(1024, 2048, 1, 3), Dense(1024, 4096), Dense(3, 1024), Dense(4, 1024))

SURFACE: Stream = (
    square(64, 3, 112)
    + square(64, 64, 112, times=3)
    + square(64, 64, 56, times=4)
    + square(128, 64, 28)
    + square(128, 128, 28, times=3)
)
SURFACE_HEAD: Stream = (
    square(256, 384, 14) + square(256, 256, 14, times=3) + square(512, 256, 7) + square(512, 512, 7, times=3)
)

VGG: Stream = (
    *square(64, 3, 224),
    *square(64, 64, 224),
    *square(128, 64, 112),
    *square(128, 128, 112),
    *square(256, 128, 56),
    *square(256, 256, 56, times=2),
    *square(512, 256, 28),
    *square(512, 512, 28, times=2),
    *square(512, 512, 14, times=3),
    Dense(4096, 25088),
    Dense(4096, 4096),
    Dense(1000, 4096),
)
TEXT: Stream = (
    (Conv(1, 64, 1014, 21, 3),) * 2
    + (Conv(1, 128, 507, 42, 3),) * 2
    + (Conv(1, 254, 254, 85, 3),) * 2
    + (Conv(1, 256, 127, 171, 3),) * 2
)

FACE: Stream = (
    *square(32, 3, 56),
    *square(64, 32, 28),
    *square(64, 64, 28, times=2),
    *square(64, 128, 28),
    *square(64, 64, 28, times=2),
    *square(128, 128, 14, times=3),
    *square(128, 256, 14),
    *square(128, 128, 14, times=2),
)
FACE_HEAD: Stream = (
    *square(256, 256, 7, times=3),
    *square(256, 512, 7),
    *square(256, 256, 7, times=2),
    *square(512, 512, 3, times=3),
    *square(512, 1024, 3),
    *square(512, 512, 3, times=2),
    Dense(3, 92146),
)

MODELS: dict[str, Modal] = {
    "vlocnet": Modal(
        "visual localisation, three residual networks",
        (TRUNK + LOCATION, TRUNK, TRUNK + LOCATION),
        (
            ("M2L39", "M1L40"),
            ("M1L49", "M1L50"),
            ("M1L49", "M1L51"),
            ("M3L49", "M3L50"),
            ("M3L49", "M3L51"),
        ),
    ),
    "casia-surf": Modal(
        "face anti-spoofing from three cameras",
        (SURFACE + SURFACE_HEAD, SURFACE, SURFACE),
        (("M2L12", "M1L13"), ("M3L12", "M1L13")),
    ),
    "vfs": Modal(
        "images and text, two VGG and two text networks",
        (VGG, (*TEXT, Dense(4096, 21717)), VGG, TEXT),
        (("M4L8", "M3L14"),),
    ),
    "facebag": Modal(
        "face anti-spoofing from patches of three cameras",
        (FACE + FACE_HEAD, FACE, FACE),
        (("M2L13", "M1L14"), ("M3L13", "M1L14")),
    ),
    "cnn-lstm": Modal(
        "three convolutional networks with a recurrent end",
        (
            (
                *square(32, 1, 256),
                *square(64, 32, 128),
                *square(128, 64, 64),
                *square(256, 128, 32),
                *square(512, 256, 16),
                *square(1024, 512, 8),
                *square(1024, 1024, 1, 1),
                Lstm(512, 1024, 1),
            ),
            (
                *square(32, 1, 64),
                *square(64, 32, 32),
                *square(128, 64, 16),
                *square(256, 128, 4),
                *square(512, 256, 1),
                Lstm(512, 512, 1),
            ),
            (
                Conv(32, 25, 36, 48, 3),
                Conv(64, 32, 18, 24, 3),
                Conv(128, 64, 9, 12, 3),
                *square(256, 128, 3),
                *square(512, 256, 1),
                Lstm(512, 512, 1),
            ),
        ),
    ),
    "mocap": Modal(
        "emotion from speech, text, motion and images",
        (
            (Lstm(128, 34, 200), Lstm(256, 34, 200), Dense(256, 1024)),
            (Lstm(256, 300, 1000), Lstm(512, 300, 1000), Dense(256, 2048)),
            (
                Conv(32, 1, 100, 99, 3),
                Conv(64, 32, 50, 44, 3),
                Conv(64, 64, 25, 22, 3),
                Conv(128, 64, 12, 11, 3),
                *square(128, 128, 6),
                *(Dense(256, 768),) * 2,
            ),
            TRUNK,
        ),
        (("M1L3", "M3L7"), ("M2L3", "M3L7")),
    ),
}
