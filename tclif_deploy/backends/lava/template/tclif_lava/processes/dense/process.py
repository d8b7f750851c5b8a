"""Dense connections for many samples at once. Simulation only: no chip has a batch axis."""

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


class BatchedDense(AbstractProcess):  # type: ignore[misc]
    """``a_out = s_in @ weights.T``, one Lava step later; messages are (samples, sources). SIMULATION ONLY.

    It stands for the stock Dense processes of one connection and gives the same sums, exactly.
    """

    def __init__(self, *, weights: np.ndarray, batch: int, peak: int, name: str | None = None) -> None:
        """``weights`` (neurons, sources); ``peak`` is the largest magnitude of an incoming integer."""
        super().__init__(name=name, peak=peak)
        neurons, sources = weights.shape
        self.s_in = InPort(shape=(batch, sources))
        self.a_out = OutPort(shape=(batch, neurons))
        self.weights = Var(shape=weights.shape, init=weights)
        self.a_buff = Var(shape=(batch, neurons), init=0)


@implements(proc=BatchedDense, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyBatchedDenseModelFixed(PyLoihiProcessModel):  # type: ignore[misc]
    """Integers, in whatever type multiplies fastest without losing one."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, bool, precision=1)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)
    a_buff: np.ndarray = LavaPyType(np.ndarray, np.int64)
    weights: np.ndarray = LavaPyType(np.ndarray, np.int64)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.peak: int = proc_params["peak"]
        self.factor: np.ndarray | None = None

    def run_spk(self) -> None:
        """One Lava step."""
        self.a_out.send(self.a_buff)
        factor = self.transposed() if self.factor is None else self.factor
        self.a_buff = (self.s_in.recv().astype(factor.dtype) @ factor).astype(np.int64)

    def transposed(self) -> np.ndarray:
        """The weights as (sources, neurons); floats multiply integers exactly while every sum fits the mantissa."""
        bound = self.peak * int(np.abs(self.weights).sum(axis=1).max())
        dtype = np.float32 if bound < 2**24 else np.float64 if bound < 2**53 else np.int64
        self.factor = np.ascontiguousarray(self.weights.T.astype(dtype))
        return self.factor


@implements(proc=BatchedDense, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyBatchedDenseModelFloat(PyLoihiProcessModel):  # type: ignore[misc]
    """float64 throughout."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, bool, precision=1)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    a_buff: np.ndarray = LavaPyType(np.ndarray, float)
    weights: np.ndarray = LavaPyType(np.ndarray, float)

    def run_spk(self) -> None:
        """One Lava step."""
        self.a_out.send(self.a_buff)
        self.a_buff = self.s_in.recv().astype(np.float64) @ self.weights.T
