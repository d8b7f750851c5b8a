"""A delay line, for connections that would otherwise arrive before their layer is at the right step."""

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


class Delay(AbstractProcess):  # type: ignore[misc]
    """What enters ``s_in`` leaves ``s_out`` after ``steps`` (1 or more) Lava steps; 0 before that."""

    def __init__(self, *, shape: tuple[int, ...], steps: int, name: str | None = None) -> None:
        super().__init__(name=name)
        self.s_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)
        self.line = Var(shape=(steps, *shape), init=0)


class AbstractDelayModel(PyLoihiProcessModel):  # type: ignore[misc]
    """A ring of ``steps`` messages; it sends before it receives, so that it may stand in a loop."""

    s_in: Any
    s_out: Any
    line: Any

    def run_spk(self) -> None:
        """One Lava step."""
        place = self.time_step % len(self.line)
        self.s_out.send(self.line[place])
        self.line[place] = self.s_in.recv()


@implements(proc=Delay, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyDelayModelFixed(AbstractDelayModel):
    """Spikes and graded integers."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    line: np.ndarray = LavaPyType(np.ndarray, np.int32)


@implements(proc=Delay, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyDelayModelFloat(AbstractDelayModel):
    """Spikes and real input."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    line: np.ndarray = LavaPyType(np.ndarray, float)
