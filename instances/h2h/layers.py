"""The three kinds of layers of the H2H suite: sizes, work, and what they read and write, in numbers of 32 bit."""

from __future__ import annotations

from typing import NamedTuple


class Conv(NamedTuple):
    """A convolution: output channels, input channels, rows and columns of its output, kernel."""

    channels: int
    inputs: int
    rows: int
    columns: int
    kernel: int

    @property
    def op(self) -> str:
        """The operator."""
        return "Conv"

    @property
    def weights(self) -> int:
        """Numbers of its kernel."""
        return self.channels * self.inputs * self.kernel**2

    @property
    def flops(self) -> int:
        """Work, a multiply-accumulate being two."""
        return 2 * self.weights * self.rows * self.columns

    @property
    def reads(self) -> int:
        """Numbers of its input map: four times its output grid, as if every stride were 2."""
        return 4 * self.inputs * self.rows * self.columns

    @property
    def writes(self) -> int:
        """Numbers of its output map."""
        return self.channels * self.rows * self.columns


class Dense(NamedTuple):
    """A fully connected layer: outputs, inputs."""

    outputs: int
    inputs: int

    @property
    def op(self) -> str:
        """The operator."""
        return "Gemm"

    @property
    def weights(self) -> int:
        """Numbers of its matrix."""
        return self.outputs * self.inputs

    @property
    def flops(self) -> int:
        """Work, a multiply-accumulate being two."""
        return 2 * self.weights

    @property
    def reads(self) -> int:
        """Numbers that it reads."""
        return self.inputs

    @property
    def writes(self) -> int:
        """Numbers that it writes."""
        return self.outputs


class Lstm(NamedTuple):
    """A recurrent layer: hidden units, inputs, time steps; only the last hidden state is written."""

    hidden: int
    inputs: int
    steps: int

    @property
    def op(self) -> str:
        """The operator."""
        return "LSTM"

    @property
    def weights(self) -> int:
        """Numbers of the matrices of its four gates."""
        return 4 * self.hidden * (self.hidden + self.inputs)

    @property
    def flops(self) -> int:
        """Work of all steps, a multiply-accumulate being two."""
        return 2 * self.weights * self.steps

    @property
    def reads(self) -> int:
        """Numbers that it reads from outside: one step's input."""
        return self.inputs

    @property
    def writes(self) -> int:
        """Numbers that it writes."""
        return self.hidden


AnyLayer = Conv | Dense | Lstm
