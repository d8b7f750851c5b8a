"""Convolutional connections for many samples at once. Simulation only: no chip has a batch axis."""

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class BatchedConv(AbstractProcess):  # type: ignore[misc]
    """A kernel moved over maps, one Lava step later; messages are (samples, channels*y*x). SIMULATION ONLY.

    It stands for the stock Conv processes of one connection and gives the same sums, exactly.
    """

    def __init__(self, *, weights: np.ndarray, moves: Any, batch: int, peak: int, name: str | None = None) -> None:
        """``weights`` (channels out, channels in / groups, y, x) move as ``moves`` says, a `Convolution`."""
        super().__init__(name=name, moves=moves, peak=peak)
        shape = (batch, int(np.prod(moves.output_shape)))
        self.s_in = InPort(shape=(batch, int(np.prod(moves.input_shape))))
        self.a_out = OutPort(shape=shape)
        self.weights = Var(shape=weights.shape, init=weights)
        self.a_buff = Var(shape=shape, init=0)


class AbstractBatchedConvModel(PyLoihiProcessModel):  # type: ignore[misc]
    """The sums, in whatever type multiplies fastest without losing a bit."""

    s_in: Any
    a_out: Any
    a_buff: Any
    weights: Any

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.moves = proc_params["moves"]
        self.peak: int = proc_params["peak"]
        self.factor: np.ndarray | None = None

    def run_spk(self) -> None:
        """One Lava step."""
        self.a_out.send(self.a_buff)
        if self.factor is None:
            self.factor = self.grouped()
        patches = self.patches(self.s_in.recv().astype(self.factor.dtype))
        self.a_buff = (self.factor @ patches).reshape(self.a_buff.shape).astype(self.a_buff.dtype)

    def grouped(self) -> np.ndarray:
        """The weights as (groups, channels out, weights); floats hold integers exactly up to their mantissa."""
        bound = self.peak * np.abs(self.weights).sum(axis=(1, 2, 3)).max()
        exact = np.float32 if bound < 2**24 else np.float64 if bound < 2**53 else np.int64
        dtype = exact if self.weights.dtype == np.int64 else np.float64
        return np.asarray(self.weights.reshape(self.moves.groups, -1, np.prod(self.weights.shape[1:])), dtype)

    def patches(self, messages: np.ndarray) -> np.ndarray:
        """What each position of the output sees: (samples, groups, weights, positions)."""
        m, (height, width) = self.moves, self.weights.shape[2:]
        maps = messages.reshape(-1, *m.input_shape)
        maps = np.pad(maps, ((0, 0), (0, 0), (m.padding[0],) * 2, (m.padding[1],) * 2))
        reach = (m.dilation[0] * (height - 1) + 1, m.dilation[1] * (width - 1) + 1)
        windows = np.lib.stride_tricks.sliding_window_view(maps, reach, axis=(2, 3))
        windows = windows[:, :, :: m.stride[0], :: m.stride[1], :: m.dilation[0], :: m.dilation[1]]
        shape = (len(maps), m.groups, np.prod(self.weights.shape[1:]), -1)
        return np.asarray(windows.transpose(0, 1, 4, 5, 2, 3)).reshape(shape)


@implements(proc=BatchedConv, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyBatchedConvModelFixed(AbstractBatchedConvModel):
    """Integers."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, bool, precision=1)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)
    a_buff: np.ndarray = LavaPyType(np.ndarray, np.int64)
    weights: np.ndarray = LavaPyType(np.ndarray, np.int64)


@implements(proc=BatchedConv, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyBatchedConvModelFloat(AbstractBatchedConvModel):
    """float64 throughout."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, bool, precision=1)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    a_buff: np.ndarray = LavaPyType(np.ndarray, float)
    weights: np.ndarray = LavaPyType(np.ndarray, float)
