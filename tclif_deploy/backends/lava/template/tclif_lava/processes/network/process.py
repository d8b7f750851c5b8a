"""The whole network as one hierarchical process, built from ``network.py`` and ``weights.npz``."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements
from lava.magma.core.model.sub.model import AbstractSubProcessModel
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.conv.process import Conv
from lava.proc.dense.process import Dense
from lava.utils.weightutils import SignMode


class Network(AbstractProcess):  # type: ignore[misc]
    """Input at ``s_in``; the last layer's spikes at ``s_out`` and its soma at ``v_out``.

    Parameters
    ----------
    structure : the `Network` of ``network.py``
    arrays : what ``weights.npz`` holds
    batch : None for stock Dense processes, one sample at a time; else that many samples at once (simulation only)
    frames, steps : samples (or batches) one after another, and the steps of each
    lengths, outputs : by layer, as `TCLIF` takes them
    """

    def __init__(
        self,
        *,
        structure: Any,
        arrays: Mapping[str, np.ndarray],
        batch: int | None = None,
        frames: int = 1,
        steps: int,
        lengths: np.ndarray,
        outputs: Mapping[str, Mapping[str, np.ndarray]],
        name: str = "network",
    ) -> None:
        super().__init__(
            name=name, structure=structure, arrays=arrays, batch=batch, frames=frames, steps=steps,
            lengths=lengths, outputs=outputs,
        )  # fmt: skip
        lead = () if batch is None else (batch,)
        self.s_in = InPort(shape=(*lead, structure.input.size))
        self.s_out = OutPort(shape=(*lead, structure.layers[-1].size))
        self.v_out = OutPort(shape=(*lead, structure.layers[-1].size))


@implements(proc=Network, protocol=LoihiProtocol)
class NetworkModel(AbstractSubProcessModel):  # type: ignore[misc]
    """For each layer a `TCLIF` process ``<layer>``, and for each connection its Dense or Conv (and Delay) processes."""

    def __init__(self, proc: Network) -> None:
        # Imported here because Lava executes this file a second time, outside its package, to look for models.
        from ..conv.process import BatchedConv
        from ..delay.process import Delay
        from ..dense.process import BatchedDense
        from ..tclif.process import TCLIF

        given = proc.proc_params
        structure, arrays, batch = given["structure"], given["arrays"], given["batch"]
        lead = () if batch is None else (batch,)
        sources = {"input": proc.s_in}
        layers = {}
        accumulated = "last" if structure.readout is None else structure.readout.rule
        for n, layer in enumerate(structure.layers):
            layers[layer.name] = TCLIF(
                name=layer.name,
                shape=(*lead, layer.size),
                coefficients=coefficients(layer, arrays),
                shift=layer.shift,
                reset=layer.reset,
                input_to=layer.input_to,
                spiking=layer.spiking,
                strict=layer.strict,
                arithmetic=structure.arithmetic,
                frames=given["frames"],
                steps=given["steps"],
                idle=structure.idle,
                phases=structure.phases,
                offset=layer.offset,
                lengths=given["lengths"],
                outputs=given["outputs"][layer.name],
                readout=accumulated if n == len(structure.layers) - 1 else "last",
            )
            # Lava finds sub-processes among the attributes; the layer's own name need not be an identifier.
            setattr(self, f"layer_{n}", layers[layer.name])
            sources[layer.name] = layers[layer.name].s_out
        for n, layer in enumerate(structure.layers):
            for m, connection in enumerate(layer.connections):
                port, moves = sources[connection.source], connection.moves
                label = f"{layer.name} from {connection.source}"
                if connection.wait:
                    delay = Delay(name=f"{label}, delay", shape=port.shape, steps=connection.wait)
                    setattr(self, f"delay_{n}_{m}", delay)
                    port.connect(delay.s_in)
                    port = delay.s_out
                bits = structure.input.bits if connection.source == "input" else 0
                matrices = [(arrays[s.weight], s.exponent) for s in connection.synapses]
                batched = {"weights": sum(wide(weight) * 2**exponent for weight, exponent in matrices),
                         "batch": batch, "peak": connection.peak, "name": label}  # fmt: skip
                if batch is not None:
                    stock = [BatchedDense(**batched) if moves is None else BatchedConv(moves=moves, **batched)]
                elif moves is None:
                    stock = [
                        stock_dense(structure.precision, weight, exponent, bits, f"{label}, part {index}")
                        for index, (weight, exponent) in enumerate(matrices)
                    ]
                else:
                    stock = [
                        stock_conv(wide(weight) * 2**exponent, moves, bits, f"{label}, part {index}")
                        for index, (weight, exponent) in enumerate(matrices)
                    ]
                for index, synapses in enumerate(stock):
                    setattr(self, f"synapses_{n}_{m}_{index}", synapses)
                    target = layers[layer.name].a_in
                    if batch is None and moves is not None:
                        # Lava's maps are (x, y, channel).
                        port.reshape(moves.input_shape).transpose((2, 1, 0)).connect(synapses.s_in)
                        synapses.a_out.transpose((2, 1, 0)).reshape(target.shape).connect(target)
                    else:
                        port.connect(synapses.s_in)
                        synapses.a_out.connect(target)
        layers[structure.layers[-1].name].s_out.connect(proc.s_out)
        layers[structure.layers[-1].name].v_out.connect(proc.v_out)


def coefficients(layer: Any, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Each coefficient as an array (neurons,): a literal serves all neurons, a string names an array."""
    names = (
        "a_u", "b_u", "a_v", "b_v", "q", "threshold", "r_u", "r_v", "v_reset", "bias_u", "bias_v", "v0", "u0", "s0",
    )  # fmt: skip
    values = {name: getattr(layer, name) for name in names}
    return {k: arrays[x] if isinstance(x, str) else np.full(layer.size, x) for k, x in values.items()}


def wide(weight: np.ndarray) -> np.ndarray:
    """Integers in 64 bits; floats as they are."""
    return weight.astype(np.result_type(weight, np.int64))


def stock_conv(weight: np.ndarray, moves: Any, message_bits: int, name: str) -> Conv:
    """Lava's own Conv. It flips the kernel, and on the CPU it ignores its ``weight_exp``: exponents are in the weights.

    Its sums wrap at 24 bits, which the emitted weights never reach.
    """
    return Conv(
        name=name,
        weight=weight.transpose(0, 3, 2, 1)[:, ::-1, ::-1],
        input_shape=moves.input_shape[::-1],
        stride=moves.stride[::-1],
        padding=moves.padding[::-1],
        dilation=moves.dilation[::-1],
        groups=moves.groups,
        num_message_bits=message_bits,
    )


def stock_dense(precision: str, weight: np.ndarray, exponent: int, message_bits: int, name: str) -> Dense:
    """Lava's own Dense with ``weight * 2^exponent``, exact for int8 weights.

    The fixed-point Dense of mixed sign drops the lowest of its 9 bits, so it gets the doubled weights and half the
    exponent's power; ``message_bits`` is 0 for spikes and the payload's width for graded input.
    """
    if precision == "floating_pt":
        return Dense(name=name, weights=weight, num_message_bits=message_bits)
    return Dense(
        name=name,
        weights=2 * weight.astype(np.int32),
        weight_exp=exponent - 1,
        num_weight_bits=8,
        sign_mode=SignMode.MIXED,
        num_message_bits=message_bits,
    )
