"""Which kernel a framework runs for a convolution, as named rule sets, and what is fused behind it.

The rules belong to a version of a framework. `tflite-2.10-gpu` is the selection of TensorFlow Lite 2.10 in
tensorflow/lite/delegates/gpu (common/selectors, common/tasks/winograd). Older versions have other constants.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.predict.tables import FloatArray, Operators, TextArray
from dnnplan.instances.errors import InputError
from dnnplan.instances.wording import unknown

GpuFamily = Literal["adreno6xx", "adreno", "mali", "powervr", "apple", "amd"]
FAMILIES: tuple[GpuFamily, ...] = ("adreno6xx", "adreno", "mali", "powervr", "apple", "amd")

PHONES: dict[str, GpuFamily] = {
    "pixel4": "adreno6xx",
    "mi8se": "adreno6xx",
    "s10": "mali",
    "a03s": "powervr",
    "iphone7": "apple",
    "iphonexs": "apple",
}
"""GPU families of the phones of qed-usc."""

CLASSES = (
    "convolution_2d",
    "convolution_winograd",
    "convolution_2d_grouped",
    "fully_connected",
    "depthwise_convolution",
    "depthwise_conv_plus_1x1",
    "pooling_2d",
    "mean",
    "concat",
    "other",
)
"""Kernel classes; `other` is any kernel that is not named here."""

PLAIN = {
    "DEPTHWISE_CONV_2D": "depthwise_convolution",
    "FULLY_CONNECTED": "fully_connected",
    "MEAN": "mean",
    "CONCATENATION": "concat",
    "MAX_POOL_2D": "pooling_2d",
    "AVERAGE_POOL_2D": "pooling_2d",
}
"""Kernel classes of operator types that have one kernel only, nearly."""

TAIL = ("relu", "add", "mul", "hard_swish", "sigmoid", "minimum", "other")
"""Elementwise operators that can be fused behind a kernel."""
NUMBERS = re.compile(r"(_\d+)+$")
CACHED = 4096
"""Kernel texts whose reading is remembered."""


@dataclass(frozen=True)
class Winograd:
    """Least numbers of slices of four channels (in, out) and of tiles of 4 x 4 pixels for Winograd to be chosen."""

    source: int = 16
    target: int = 16
    tiles: int = 32


@dataclass(frozen=True)
class RuleSet:
    """The kernel rule of one version of a framework."""

    name: str
    winograd: dict[GpuFamily, Winograd]

    def convolution(
        self,
        *,
        size: FloatArray,
        channels: FloatArray,
        output_size: FloatArray,
        filters: FloatArray,
        kernel: FloatArray,
        stride: FloatArray,
        groups: FloatArray,
        family: GpuFamily,
    ) -> TextArray:
        """(n,) kernel classes of convolutions without dilation; `size` is height = width, all but `family` are (n,)."""
        if family not in self.winograd:
            raise InputError(unknown("GPU family", family, self.winograd))
        least = self.winograd[family]
        tiles = np.ceil(output_size / 4) ** 2
        fast = (kernel == 3) & (stride == 1) & (groups == 1)
        fast &= (np.ceil(channels / 4) >= least.source) & (np.ceil(filters / 4) >= least.target)
        fast &= tiles >= least.tiles
        point = (kernel == 1) & (size == 1) & (output_size == 1) & (groups == 1)
        found: TextArray = np.select(
            [groups > 1, point, fast],
            ["convolution_2d_grouped", "fully_connected", "convolution_winograd"],
            "convolution_2d",
        )
        return found

    def merged(
        self,
        *,
        depthwise: NDArray[np.bool_],
        point: NDArray[np.bool_],
        network: TextArray,
        channels: FloatArray,
        filters: FloatArray,
        kernel: FloatArray,
        family: GpuFamily,
    ) -> NDArray[np.bool_]:
        """Which operators run as one kernel depthwise_conv_plus_1x1 with their neighbour, on GPUs of Apple only.

        A depthwise convolution of at most 16 channels and 144 weights, and the 1x1 convolution behind it of at most
        16 filters and 256 weights, in half precision.

        Parameters
        ----------
        depthwise, point
            (n,) depthwise convolutions with one filter a channel; 1x1 convolutions of stride 1. Rows are in order
            of execution; the row behind a depthwise convolution is taken to be its only consumer.
        network, channels, filters, kernel
            (n,) the network of each row, and its shape.
        family
            Of the GPU.
        """
        first = depthwise & (channels <= 16) & (channels * kernel**2 <= 144) & (family == "apple")
        second = point & (filters <= 16) & (channels * filters <= 256)
        pair = first[:-1] & second[1:] & (network[:-1] == network[1:])
        found: NDArray[np.bool_] = np.zeros(len(network), dtype=bool)
        found[:-1] |= pair
        found[1:] |= pair
        return found

    def classes(self, ops: Operators, family: GpuFamily) -> TextArray:
        """(n,) kernel classes of qed-usc operators in order of execution, from their feature columns alone."""
        column, kind = ops.columns, ops.kind
        size, kernel, stride = (column[name] for name in ("Input_shape", "Kernel", "Stride"))
        convolution = np.isin(kind, ["CONV_2D", "CONV_2D_GROUP"])
        found: TextArray = np.array([PLAIN.get(str(name), "other") for name in kind], dtype="U40")
        found[(kind == "AVERAGE_POOL_2D") & (kernel == size)] = "mean"
        found[convolution] = self.convolution(
            size=size[convolution],
            channels=column["Input_channel"][convolution],
            output_size=column["Output_shape"][convolution],
            filters=column["Filter"][convolution],
            kernel=kernel[convolution],
            stride=stride[convolution],
            groups=column["Group"][convolution],
            family=family,
        )
        merged = self.merged(
            depthwise=(kind == "DEPTHWISE_CONV_2D") & (column["Filter"] == 1),
            point=(kind == "CONV_2D") & (kernel == 1) & (stride == 1),
            network=ops.network,
            channels=column["Input_channel"],
            filters=column["Filter"],
            kernel=kernel,
            family=family,
        )
        found[merged] = "depthwise_conv_plus_1x1"
        return found


RULES = {
    "tflite-2.10-gpu": RuleSet(
        "tflite-2.10-gpu",
        {
            "adreno6xx": Winograd(32, 32, 128),
            "adreno": Winograd(32, 32, 64),
            "mali": Winograd(),
            "powervr": Winograd(),
            "apple": Winograd(),
            "amd": Winograd(target=8),
        },
    )
}
"""Rule sets by name."""


def rule_set(name: str) -> RuleSet:
    """A rule set by its name, `tflite-2.10-gpu`."""
    if name not in RULES:
        raise InputError(unknown("kernel rule set", name, RULES))
    return RULES[name]


def kernel_classes(kernels: TextArray) -> TextArray:
    """(n,) classes of kernel texts such as `convolution_2d_3_linked_:_relu_4`."""
    found: TextArray = np.array(CLASSES)[read_kernels(kernels)[0]]
    return found


def read_kernels(kernels: TextArray) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """What (n,) kernel texts say.

    Returns
    -------
    (n,) places in `CLASSES`, and (n, len(TAIL)) how often each elementwise operator is fused behind each kernel.
    """
    texts = kernels.tolist()
    # Each text is read once: tables repeat them.
    place = {text: at for at, text in enumerate(dict.fromkeys(texts))}
    read = [_read(text) for text in place]
    at = np.fromiter(map(place.__getitem__, texts), dtype=np.intp, count=len(texts))
    classes = np.array([found for found, _ in read], dtype=np.intp)
    counts = np.array([counts for _, counts in read], dtype=float).reshape(-1, len(TAIL))
    return classes[at], counts[at]


def tail(kernel: str) -> list[str]:
    """The elementwise operators fused behind a kernel, in order.

    >>> tail("convolution_2d_3_linked_:_add_4_linked_:_relu_5")
    ['add', 'relu']
    """
    return [NUMBERS.sub("", part) for part in kernel.split("_linked_:_")[1:]]


@lru_cache(maxsize=CACHED)
def _read(text: str) -> tuple[int, tuple[int, ...]]:
    """Place in `CLASSES`, and counts of `TAIL`."""
    fused = [name if name in TAIL else "other" for name in tail(text)]
    return CLASSES.index(_class(text)), tuple(fused.count(name) for name in TAIL)


def _class(text: str) -> str:
    head = text.split("_linked_", 1)[0]
    known = [name for name in CLASSES if head == name or head.startswith(f"{name}_")]
    return max(known, key=len, default="other")
