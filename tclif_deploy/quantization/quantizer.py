"""Float network + target + calibration data -> fixed-point network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from tclif_deploy.arguments import checked
from tclif_deploy.blas import one_blas_thread
from tclif_deploy.data import DataLike, Dataset, as_dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedLayer, FixedNetwork, InputEncoding
from tclif_deploy.network import INPUT, Network, check_network
from tclif_deploy.progress import Progress, no_progress
from tclif_deploy.quantization.carried import NotHeld, carried_encoding, carried_layer
from tclif_deploy.quantization.kept_spikes import KeptSpikes
from tclif_deploy.quantization.layer_plan import (
    READOUT_BITS,
    QuantizationContext,
    build_layer,
    plan_layer,
    rint,
    whole_to_int64,
)
from tclif_deploy.quantization.notices import few_samples_notice, layer_notices, stored_width_notice
from tclif_deploy.quantization.passes import chosen_passes
from tclif_deploy.quantization.ranges import Ranges, measured_ranges, worst_case_ranges
from tclif_deploy.quantization.settings import DEFAULTS, QuantizeSettings
from tclif_deploy.quantization.statistics import CalibrationStatistics
from tclif_deploy.target import Target, as_target

MOST_LISTED = 8
"""layers that a notice names"""
LOOP_BITS = 8
"""a loop's layers are driven by weights of at least this width until their own are chosen: rounded to nearest at 2 or 3
bits, they fire nothing like the float network, and passes would fit the weights to that"""


class CannotHold(TclifError):
    """A network whose numbers a target's integers do not hold."""


@one_blas_thread
@checked
def quantize(
    network: Network,
    target: Target | Path | str,
    calibration: DataLike | None = None,
    settings: QuantizeSettings = DEFAULTS,
    ranges: Ranges | None = None,
    progress: Progress = no_progress,
) -> FixedNetwork:
    """Integers of ``network`` for ``target``.

    With ``calibration`` the state scale comes from the ranges its samples reach (times ``headroom``); without, from
    a worst-case bound that wastes bits, with a notice. ``ranges`` spares the run that finds them, where they are known
    (`measured_ranges` of the same calibration data). ``progress`` counts layers. Raises `TclifError` where the target
    cannot hold the network (`CannotHold`), naming the number and the limit.

    Examples
    --------
    >>> import numpy as np
    >>> import tclif_deploy as tc
    >>> rng = np.random.default_rng(0)
    >>> hidden = tc.Layer("hidden", tc.neurons.lif(8, decay=0.9, threshold=1.0),
    ...                   (tc.Connection("input", rng.normal(0, 0.5, (8, 3))),))
    >>> fixed = tc.quantize(tc.Network(3, (hidden,)), "loihi2", calibration=rng.normal(0, 1, (8, 20, 3)))
    >>> hidden.connections[0].weight[0].round(4).tolist(), fixed.layers[0].connections[0].weight[0].tolist()
    ([0.0629, -0.0661, 0.3202], [25, -26, 127])
    >>> float(hidden.neuron.a_v[0]), int(fixed.layers[0].a_v[0]), fixed.arithmetic.one
    (0.9, 3686, 4096)
    """
    check_network(network)
    target = as_target(target)
    calibration = as_dataset(calibration, "calibration")
    notices: list[str] = []
    if calibration is not None:
        check_calibration(calibration, network)
    encoding = _own_encoding(network, calibration, target, notices)
    if encoding is None:
        encoding = (
            InputEncoding(network.input_size, lsb=2.0**-8, bits=min(target.input_bits.value, 16))
            if calibration is None
            else choose_encoding(calibration, target, settings)
        )

    def find_ranges() -> Ranges:
        if calibration is not None:
            return ranges or measured_ranges(network, calibration)
        return worst_case_ranges(network, 1.0, settings.bound_steps)

    context = QuantizationContext(target, encoding, settings, find_ranges)
    with _refused_by_the_target():
        bits = weight_widths(network, target, settings)
        own = own_layers(network, context, bits, notices)
    if len(own) < len(network.layers):
        context.ranges  # noqa: B018  # what is wrong with the data is not the target's
        if calibration is None:
            notices.insert(
                0,
                f"no calibration data: state scales come from a worst-case bound (|x| <= 1, {settings.bound_steps} "
                "steps), which costs precision; give --calibration FILE or --data FILE",
            )
    with _refused_by_the_target():
        return _integers(network, context, bits, own, calibration, notices, progress)


@contextmanager
def _refused_by_the_target() -> Iterator[None]:
    try:
        yield
    except TclifError as error:
        raise CannotHold(error.what, error.hint) from None
    except OverflowError as error:
        raise CannotHold(f"a number of the network is {error} in the integers' units, beyond 64 bits") from None


@np.errstate(all="ignore")  # what floats do not hold becomes inf or NaN, and is refused where it becomes an integer
def _integers(
    network: Network,
    context: QuantizationContext,
    bits: tuple[int, ...],
    own: dict[int, FixedLayer],
    calibration: Dataset | None,
    notices: list[str],
    progress: Progress,
) -> FixedNetwork:
    """The network's integers, layer by layer; those of ``own`` are there already."""
    target, encoding, settings = context.target, context.encoding, context.settings
    layers = dict(own)
    plans = {n: plan_layer(layer, context, bits[n]) for n, layer in enumerate(network.layers) if n not in own}
    stand_ins: dict[int, FixedLayer] = {}

    def standing_in(n: int) -> FixedLayer:
        """A layer whose own integers are not chosen yet, as it drives a loop."""
        if n not in stand_ins and bits[n] < LOOP_BITS:
            # a threshold that just fits the narrow weights' units may be lost in these
            with suppress(TclifError, OverflowError):
                stand_ins[n] = build_layer(
                    network.layers[n], plan_layer(network.layers[n], context, LOOP_BITS), context
                )
        return stand_ins.get(n) or built(n)

    def built(n: int) -> FixedLayer:
        if n not in layers:
            try:
                layers[n] = build_layer(network.layers[n], plans[n], context)
            except OverflowError as error:
                raise TclifError(
                    f"layer {network.layers[n].name}: a number is {error} in the integers' units, beyond 64 bits",
                    "are the threshold, resets and biases of the size of the weights?",
                ) from None
        return layers[n]

    passes = chosen_passes(settings.passes) if calibration is not None else ()
    chosen = [bits[n] for n in plans]
    if calibration is not None and passes and (few := few_samples_notice(calibration, chosen)) is not None:
        notices.append(few)
    if (stored := stored_width_notice(target, chosen)) is not None:
        notices.append(stored)
    kept = None if calibration is None else KeptSpikes(encoding, target.arithmetic, calibration)
    for n, layer in enumerate(network.layers):
        if n in own:
            progress(n + 1, len(network.layers))
            continue
        if kept is not None and passes and CalibrationStatistics.covers(layer):
            # a loop makes later layers, and this one, drive its sources: by integers before any pass
            upstream = _upstream(network, n)
            done = {*own, *range(n)}
            driving = [built(m) if m in done else standing_in(m) for m in upstream]
            final = {network.layers[m].name for m in upstream if done.issuperset({m, *_upstream(network, m)})}
            statistics = CalibrationStatistics(layer, partial(kept.of, driving, final), context)
            for item in passes:
                plans[n] = item.apply(plans[n], statistics)
            layers.pop(n, None)
        notices += layer_notices(layer, built(n), plans[n], context)
        progress(n + 1, len(network.layers))
    finished = tuple(map(built, range(len(network.layers))))
    return with_rule(network, FixedNetwork(encoding, target.arithmetic, finished, tuple(notices)))


def _own_encoding(network: Network, data: Dataset | None, target: Target, notices: list[str]) -> InputEncoding | None:
    """The input's own integers, where the network carries them and the target holds them; else a notice says why."""
    if network.input_grid is None:
        return None
    try:
        return carried_encoding(network.input_grid, network.input_size, data, target)
    except NotHeld as reason:
        notices.append(f"input: the model's own integers are not kept, since {reason}; scaled as usual")
        return None


@np.errstate(all="ignore")  # what floats do not hold becomes inf or NaN, and is no whole number
def own_layers(
    network: Network, context: QuantizationContext, bits: tuple[int, ...], notices: list[str]
) -> dict[int, FixedLayer]:
    """The layers that carry integers which the target holds, by their place; ``notices`` says which, and why not."""
    layers: dict[int, FixedLayer] = {}
    for n, layer in enumerate(network.layers):
        if layer.grid is None:
            continue
        try:
            layers[n] = carried_layer(layer, layer.grid, context, bits[n])
        except NotHeld as reason:
            notices.append(
                f"layer {layer.name}: the model's own integers are not kept, since {reason}; quantized as usual"
            )
    if layers:
        names = ", ".join(network.layers[n].name for n in sorted(layers)[:MOST_LISTED])
        more = f" and {len(layers) - MOST_LISTED} more" if len(layers) > MOST_LISTED else ""
        notices.append(f"the model's own weights, factors, thresholds and biases are kept as they are: {names}{more}")
    return layers


def with_rule(network: Network, fixed: FixedNetwork) -> FixedNetwork:
    """``fixed`` read by the rule of ``network``, in the integers of its last layer.

    Raises `TclifError` where these hold no threshold that the rule waits for.
    """
    rule, out, notices = network.readout.in_integers(), fixed.output, fixed.notices
    if rule != network.readout:
        notices += (f"integers have no exponential: {rule} stands for the readout {network.readout}",)
    spiking = out.spiking
    if not rule.counts_spikes(spiking):
        out = replace(out, multiplier=rint(2.0**READOUT_BITS * (out.lsb_v / out.lsb_v.max())))
    if rule.threshold is not None:
        exact = rule.threshold / out.lsb_v
        if exact.min() < 1 or exact.max() >= 2.0 ** (fixed.arithmetic.bits_v - 1):
            raise TclifError(
                f"readout {rule}: {rule.threshold:g} is {exact.min():.3g} to {exact.max():.3g} LSB of a soma of "
                f"{fixed.arithmetic.bits_v} bits",
                "choose a threshold that the last layer's states reach",
            )
        out = replace(out, threshold=whole_to_int64(np.ceil(exact)))
    return replace(fixed, layers=(*fixed.layers[:-1], out), notices=notices, readout=rule)


def _upstream(network: Network, n: int) -> list[int]:
    """The layers on which the sources of layer ``n`` depend, themselves among them, in evaluation order."""
    index = {layer.name: m for m, layer in enumerate(network.layers)}
    upstream: set[int] = set()
    pending = [n]
    while pending:
        sources = {index[c.source] for c in network.layers[pending.pop()].connections if c.source != INPUT}
        pending += sources - upstream
        upstream |= sources
    return sorted(upstream)


def weight_widths(network: Network, target: Target, settings: QuantizeSettings) -> tuple[int, ...]:
    """The width of each layer's weights. Raises `TclifError` for one that the target does not hold."""
    most = target.weight_bits.value
    bits = settings.weight_bits or (most,) * len(network.layers)
    if len(bits) != len(network.layers):
        raise TclifError(f"{len(bits)} weight widths for {len(network.layers)} layers", "give one for each layer")
    for layer, width in zip(network.layers, bits, strict=True):
        if width > most:
            raise TclifError(f"layer {layer.name}: {width}-bit weights", f"{target.name} holds at most {most} bits")
    return bits


def check_calibration(data: Dataset, network: Network) -> None:
    """Raise `TclifError` for calibration data from which no scale can come."""
    if data.features != network.input_size:
        raise TclifError(
            f"{data.name}: {data.features} features a step, the network takes {network.input_size}",
            "calibration data must have the network's input width",
        )
    low, high = data.x.min(), data.x.max()
    if low == high:
        values = "all zero" if low == 0 else f"constant: every value is {low}"
        raise TclifError(f"{data.name}: calibration data are {values}", "give samples of the real task")


def choose_encoding(data: Dataset, target: Target, settings: QuantizeSettings) -> InputEncoding:
    """Integer data (counts, pixels) enter unchanged if they fit the target's payload; real data get a scale."""
    payload = target.input_bits.value
    max_input = float(np.abs(data.x.astype(np.float64)).max())
    is_whole = np.issubdtype(data.x.dtype, np.integer) or bool((data.x == np.rint(data.x)).all())
    if is_whole and max_input <= 2 ** (payload - 1) - 1:
        # two bits of room for larger values in other data, as far as the data's type can hold any
        bits = int(max_input).bit_length() + 3
        if np.issubdtype(data.x.dtype, np.integer):
            bits = min(bits, int(np.iinfo(data.x.dtype).max).bit_length() + 1)
        return InputEncoding(data.features, lsb=data.scale, bits=max(2, min(bits, payload)))
    bits = min(payload, settings.real_input_bits)
    lsb = max_input * data.scale * settings.headroom / (2 ** (bits - 1) - 1)
    return InputEncoding(data.features, lsb=lsb, bits=bits)
