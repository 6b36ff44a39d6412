"""Numbers as people read them: four digits and the unit that fits."""

from __future__ import annotations

import math

_STEPS: dict[str, tuple[tuple[float, str], ...]] = {
    "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns")),
    "J": ((1.0, "J"), (1e-3, "mJ"), (1e-6, "uJ"), (1e-9, "nJ")),
    "J s": ((1.0, "J s"), (1e-3, "mJ s"), (1e-6, "uJ s"), (1e-9, "nJ s")),
    "bytes": ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")),
    "bytes/s": ((1e12, "TB/s"), (1e9, "GB/s"), (1e6, "MB/s"), (1e3, "kB/s"), (1.0, "B/s")),
    "FLOP": ((1e15, "PFLOP"), (1e12, "TFLOP"), (1e9, "GFLOP"), (1e6, "MFLOP"), (1e3, "kFLOP"), (1.0, "FLOP")),
    "FLOP/s": ((1e15, "PFLOP/s"), (1e12, "TFLOP/s"), (1e9, "GFLOP/s"), (1e6, "MFLOP/s"), (1.0, "FLOP/s")),
    "W": ((1.0, "W"), (1e-3, "mW"), (1e-6, "uW")),
}


def scale_for(value: float, unit: str | None) -> tuple[float, str]:
    """Size and name of the unit in which `value` reads best.

    >>> scale_for(0.009556, "s")
    (0.001, 'ms')
    """
    steps = _STEPS.get(unit or "", ((1.0, unit or ""),))
    if value == 0 or not math.isfinite(value):
        return next((step for step in steps if step[0] == 1.0), steps[-1])
    # 999.96 ms is printed as 1 s, not as 1000 ms.
    return next((step for step in steps if abs(value) * (1 + 5e-5) >= step[0]), steps[-1])


def readable(value: float | None, unit: str | None = None) -> str:
    """A number with four significant digits in the unit that fits; ``-`` for None.

    >>> readable(0.0095562, "s"), readable(25_557_032, "bytes"), readable(None, "s"), readable(0.0, "s")
    ('9.556 ms', '25.56 MB', '-', '0 s')
    """
    if value is None:
        return "-"
    size, name = scale_for(value, unit)
    return f"{number(value / size)} {name}".rstrip()


def number(value: float) -> str:
    """Four significant digits without an exponent where that is readable.

    >>> number(9.5562), number(1234.5), number(3.0), number(0.00001234)
    ('9.556', '1234', '3', '1.234e-05')
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 3 - math.floor(math.log10(abs(value))))
    if digits > 6 or abs(value) >= 1e7:
        return f"{value:.4g}"
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(share: float | None) -> str:
    """A share as a percentage; ``-`` for None.

    >>> percent(0.123456), percent(0.0), percent(1e-9), percent(None)
    ('12.35 %', '0 %', '< 0.01 %', '-')
    """
    if share is None:
        return "-"
    if 0 < abs(share) < 5e-5:
        return "< 0.01 %"
    return f"{share * 100:.2f}".rstrip("0").rstrip(".") + " %"


def nice_ticks(latest: float, most: int) -> list[float]:
    """Up to `most` + 1 round moments from 0 to `latest`.

    >>> nice_ticks(0.0096, 5)
    [0.0, 0.002, 0.004, 0.006, 0.008]
    """
    if latest <= 0 or most < 1:
        return [0.0]
    rough = latest / most
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(s * size for s in (1, 2, 2.5, 5, 10) if s * size >= rough * (1 - 1e-9))
    count = math.floor(latest / step * (1 + 1e-9))
    return [float(f"{i * step:.12g}") for i in range(count + 1)]
