"""What a network has that no simulator was compared with: each reason takes its proof, and the registers refuse it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tclif_deploy import Dataset, FixedNetwork, QuantizeSettings, TclifError, load_target, mapping, quantize, simulate
from tclif_deploy.fixed import FixedConnection, FixedLayer, InputEncoding
from tclif_deploy.mapping import Behaviour, LayerBehaviour
from tclif_deploy.oracles.compare import ROADS
from tclif_deploy.oracles.draw import Case, draw_loihi, draw_xylo
from tclif_deploy.oracles.registers import NoRegister, loihi_registers, xylo_registers
from tclif_deploy.readout import Readout
from tests.oracles.test_oracles import PROVEN
from tests.oracles.test_proof import DATA, cuba

DRAWS = {"xylo2": draw_xylo, "loihi1": draw_loihi, "loihi2": draw_loihi}
REGISTERS = {"xylo2": xylo_registers, "loihi1": loihi_registers, "loihi2": loihi_registers}
NOT_SHOWN = ": that a chip computes these bits is not shown"


def drawn(target: str) -> Case:
    return DRAWS[target](load_target(target), np.random.default_rng([5, 1]))


def with_layer(network: FixedNetwork, at: int = 0, **changes) -> FixedNetwork:
    layers = list(network.layers)
    layers[at] = replace(layers[at], **changes)
    return replace(network, layers=tuple(layers))


def full(layer: FixedLayer, value: int) -> np.ndarray:
    return np.full(layer.size, value, np.int64)


@pytest.mark.parametrize(("name", "oracle"), PROVEN, ids=str)
def test_what_is_compared_with_a_simulator_is_proven(name, oracle):
    draw, registers = ROADS[oracle]
    target = load_target(name)
    for seed in range(2 if oracle == "brian2-loihi" else 10):
        case = draw(target, np.random.default_rng([5, seed]))
        assert registers(case, target)
        said = mapping.unproven(case.network, target)
        assert said is None if target.proof.steps else said.startswith("speck2 does not work in steps")


@pytest.mark.parametrize("target", DRAWS)
@pytest.mark.parametrize(("change", "said"), [
    ({"bias_u": 3}, "has biases of u (bias_u), the chip has none"),
    ({"b_v": 100}, "takes another share of u into v than all of it (b_v)"),
    ({"u0": 1}, "starts from other states than 0 (u0, v0, s0), the chip from 0"),
    ({"v0": -1}, "starts from other states than 0 (u0, v0, s0), the chip from 0"),
    ({"s0": 1}, "starts from other states than 0 (u0, v0, s0), the chip from 0"),
    ({"a_v": 32769}, "has a_v 32769 at neuron 0, the chip 0 to "),
    ({"a_u": -1}, "has a_u -1 at neuron 0, the chip 0 to "),
    ({"input_to": "soma"}, "hears its sources in v, the chip in u"),
    ({"shift": -2}, "shifts its sum right by 2 bits, the chip left"),
], ids=lambda value: "-".join(value) if isinstance(value, dict) else "")  # fmt: skip
def test_a_number_without_a_register_is_not_proven(target, change, said):
    case = drawn(target)
    layer = case.network.layers[0]
    arrays = {key: value if key in ("shift", "input_to") else full(layer, value) for key, value in change.items()}
    refused(target, replace(case, network=with_layer(case.network, **arrays)), said)


@pytest.mark.parametrize(("target", "change", "said"), [
    ("xylo2", {"r_v": 1}, "takes off another amount than its threshold when it fires (r_v)"),
    ("xylo2", {"r_u": 1}, "resets u (r_u), the chip v alone"),
    ("loihi1", {"v_reset": 1}, "resets v to other values than 0 (v_reset)"),
    ("loihi2", {"v_reset": 1}, "resets v to other values than 0 (v_reset)"),
    ("loihi1", {"threshold": 1600}, "has threshold 1600 at neuron 0, which no register"),
    ("loihi2", {"threshold": 1600}, "has threshold 1600 at neuron 0, which no register"),
    ("loihi2", {"bias_v": 4097}, "has bias_v 4097 at neuron 0, which no register"),
])  # fmt: skip
def test_a_reset_or_a_threshold_without_a_register_is_not_proven(target, change, said):
    case = drawn(target)
    layer = case.network.layers[0]
    arrays = {key: full(layer, value) for key, value in change.items()}
    refused(target, replace(case, network=with_layer(case.network, **arrays)), said)


def refused(target: str, case: Case, said: str) -> None:
    """By the registers, and as unproven, with the same words."""
    name, chip = case.network.layers[0].name, load_target(target)
    with pytest.raises(NoRegister) as caught:
        REGISTERS[target](case, chip)
    assert str(caught.value).startswith(f"layer {name} {said}")
    assert mapping.unproven(case.network, chip) == f"{caught.value}{NOT_SHOWN}"


@pytest.mark.parametrize("target", DRAWS)
def test_weights_of_more_bits_have_no_register(target):
    case = drawn(target)
    connections = case.network.layers[0].connections
    wide = replace(connections[0], weight=connections[0].weight * 0 + 128)
    network = with_layer(case.network, connections=(wide, *connections[1:]))
    refused(target, replace(case, network=network), f"has a weight from {wide.source} beyond 127")


@pytest.mark.parametrize(("target", "reset"), [("loihi1", "hard"), ("loihi2", "hard"), ("xylo2", "soft")])
def test_the_bias_pass_leaves_loihi_and_xylo(target, reset):
    """A correction of u has no register; without that pass loihi1 holds all, where others' thresholds are finer."""
    chip = load_target(target)
    found = mapping.unproven(quantize(cuba(reset), target, DATA), chip)
    assert found == f"layer a has biases of u (bias_u), the chip has none{NOT_SHOWN}"
    fixed = quantize(cuba(reset), target, DATA, QuantizeSettings(passes=("scales", "compensate")))
    found = mapping.unproven(fixed, chip)
    said = {"loihi1": None, "loihi2": "threshold", "xylo2": "(r_v)"}[target]
    assert found is None if said is None else said in found


def test_sums_are_shifted_by_the_layer_and_the_connection():
    """xylosim takes one shift of each connection's weights."""
    case, target = drawn("xylo2"), load_target("xylo2")
    shifts = xylo_registers(case, target)["hidden"]["shift"]
    network = with_layer(case.network, shift=2)
    assert xylo_registers(replace(case, network=network), target)["hidden"]["shift"] == [s + 2 for s in shifts]


@pytest.mark.parametrize("target", DRAWS)
def test_layers_that_do_not_fire_are_not_proven(target):
    network = drawn(target).network
    last = network.layers[-1]
    zero = full(last, 0)
    silent = replace(last, spiking=False, threshold=zero, r_v=zero)
    network = replace(network, layers=(*network.layers[:-1], silent), readout=Readout())
    found = mapping.unproven(network, load_target(target))
    assert found == (
        f"layer {last.name} does not fire, and no simulator of others was compared with such a layer{NOT_SHOWN}"
    )


@pytest.mark.parametrize("target", DRAWS)
def test_a_layer_is_heard_a_step_late(target):
    network = drawn(target).network
    last = network.layers[-1]
    for delay in (0, 2):
        late = tuple(replace(c, delay=delay) for c in last.connections)
        found = mapping.unproven(with_layer(network, -1, connections=late), load_target(target))
        where = f"layer {last.name} hears {last.connections[0].source} with a delay of {delay}"
        assert found == f"{where}, on the chip it is one step{NOT_SHOWN}"


def test_the_order_of_sources_counts_where_each_addend_overflows():
    network = drawn("xylo2").network
    turned = with_layer(network, connections=network.layers[0].connections[::-1])
    found = mapping.unproven(turned, load_target("xylo2"))
    assert found == (
        f"layer hidden hears hidden, then input, and xylo2 the input first, then layers in their order{NOT_SHOWN}"
    )
    network = drawn("loihi1").network
    turned = with_layer(network, connections=network.layers[0].connections[::-1])
    assert mapping.unproven(turned, load_target("loihi1")) is None  # a sum of integers has no order


@pytest.mark.parametrize(("target", "delay", "bias", "said"), [
    ("loihi1", 2, 0, "the input is heard with a delay of 2, and what was compared has 1"),
    ("loihi1", 0, 0, None),  # the same, a step earlier
    ("loihi1", 0, 64, "the input is heard with a delay of 0, and what was compared has 1"),
    ("xylo2", 1, 0, "the input is heard with a delay of 1, and what was compared has 0"),
])  # fmt: skip
def test_the_input_is_heard_as_late_as_it_was_compared(target, delay, bias, said):
    network = drawn(target).network
    for at, layer in enumerate(network.layers):
        connections = tuple(replace(c, delay=delay) if c.source == "input" else c for c in layer.connections)
        network = with_layer(network, at, connections=connections, bias_v=full(layer, bias))
    found = mapping.unproven(network, load_target(target))
    assert found == (None if said is None else f"{said}{NOT_SHOWN}")


def test_the_input_comes_to_all_layers_at_once():
    network = drawn("loihi1").network
    early, last = network.layers[0].connections[0], network.layers[-1]
    early = replace(early, delay=0, weight=np.ones((last.size, network.input.size), np.int64))
    found = mapping.unproven(with_layer(network, -1, connections=(*last.connections, early)), load_target("loihi1"))
    assert found == f"the input is heard with delays of 0 and 1 steps, on the chip with one{NOT_SHOWN}"


@pytest.mark.parametrize(("target", "most"), [("loihi1", 2), ("loihi2", 2), ("xylo2", 5)])
def test_wider_input_is_not_proven(target, most):
    network = drawn(target).network
    for bits, said in ((most, None), (most + 1, f"the input has {most + 1} bits, and what was compared with {target}")):
        encoding = InputEncoding(network.input.size, 1.0, bits)
        found = mapping.unproven(replace(network, input=encoding), load_target(target))
        assert found == (None if said is None else f"{said} {most}{NOT_SHOWN}")


@pytest.mark.parametrize(("target", "key", "value", "kept"), [
    ("xylo2", "weight_bits", 16, False),
    ("xylo2", "weight_bits", 8, True),
    ("xylo2", "weight_bits", 4, True),
    ("xylo2", "input_bits", 6, False),
    ("xylo2", "input_bits", 2, True),
    ("loihi1", "growing_factors", True, False),
    ("loihi1", "growing_factors", False, True),
    ("loihi2", "growing_factors", True, True),
    ("loihi1", "threshold_bits", 16, True),
    ("loihi1", "bias_bits", 14, False),
    ("loihi1", "accumulator_bits", 23, False),
    ("loihi1", "accumulator_bits", 20, True),
    ("loihi1", "accumulator_bits", "unlimited", False),
    ("xylo2", "accumulator_bits", 20, True),
])  # fmt: skip
def test_numbers_that_reach_further_are_not_proven_any_more(tmp_path, target, key, value, kept):
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    forms = [text] if value == "unlimited" else [text, f"{{value = {text}, source = 'x', evidence = 'assumed'}}"]
    path = tmp_path / "mine.toml"
    for form in forms:
        path.write_text(f'inherits = "{target}"\n{key} = {form}\n')
        assert (load_target(path).proof.neuron_steps > 0) == kept
    if value != "unlimited":
        other = load_target(target).override(**{key: value})
        assert (other.proof.neuron_steps > 0) == kept
        if not kept:
            assert mapping.unproven(drawn(target).network, other).startswith("no simulator of others was compared with")


def test_a_threshold_that_reaches_further_than_a_narrower_one_is_not_proven():
    narrow = load_target("loihi1").override(threshold_bits=16)
    assert narrow.proof.neuron_steps > 0
    assert narrow.override(threshold_bits=18).proof.neuron_steps == 0


def test_a_number_that_is_none_is_told_as_such(tmp_path):
    path = tmp_path / "mine.toml"
    for wrong in ("'wide'", "[8]", "{value = 'wide', source = 'x', evidence = 'assumed'}", "true", "1.5"):
        path.write_text(f'inherits = "xylo2"\nweight_bits = {wrong}\n')
        with pytest.raises(TclifError, match=r"mine.toml:2: weight_bits.value: "):
            load_target(path)


OUTPUTS = [
    ("hidden", "out", "layer hidden hears out, and on xylo2 nobody hears the outputs"),
    ("out", "out", "layer out hears out, and on xylo2 nobody hears the outputs"),
    ("out", "input", "layer out hears the input, and on xylo2 outputs hear hidden neurons alone"),
]


@pytest.mark.parametrize(("name", "source", "said"), OUTPUTS)
def test_outputs_of_xylo_are_neurons_apart(name, source, said):
    """xylosim's layers have no such synapses, and the chip has not: unproven, and no fit."""
    network, target = drawn("xylo2").network, load_target("xylo2")
    at = [layer.name for layer in network.layers].index(name)
    sizes = {"input": network.input.size} | {layer.name: layer.size for layer in network.layers}
    weight = np.ones((sizes[name], sizes[source]), np.int64)
    more = FixedConnection(source, weight, int(source != "input"), 3)  # a step late, but for the input
    order = sorted((*network.layers[at].connections, more), key=lambda c: list(sizes).index(c.source))
    wrong = with_layer(network, at, connections=tuple(order))
    assert mapping.unproven(wrong, target) == f"{said}{NOT_SHOWN}"
    (found,) = [each for each in mapping.check(wrong, target) if each.rule == "separate_outputs"]
    assert found.is_misfit
    assert found.subject == f"{name} from {source}"
    assert not [each for each in mapping.check(network, target) if each.rule == "separate_outputs"]
    assert not [each for each in mapping.check(wrong, load_target("loihi1")) if each.rule == "separate_outputs"]


def test_a_network_of_outputs_alone_is_none_of_xylo():
    network = drawn("xylo2").network
    alone = replace(network.layers[0], connections=network.layers[0].connections[:1])
    found = mapping.unproven(replace(network, layers=(alone,)), load_target("xylo2"))
    assert found == f"layer hidden hears the input, and on xylo2 outputs hear hidden neurons alone{NOT_SHOWN}"


@pytest.mark.parametrize("kind", ["input", "recurrent", "output"])
def test_xylo_has_one_shift_for_all_connections_of_a_kind(kind):
    network, target = drawn("xylo2").network, load_target("xylo2")
    hidden, out = network.layers
    events, recurrent, heard = (*hidden.connections, *out.connections)
    again = replace(hidden, name="again", connections=(events, replace(recurrent, source="again")))
    two = replace(network, layers=(hidden, again, replace(out, connections=(heard, replace(heard, source="again")))))
    assert mapping.unproven(two, target) is None
    at, place = {"input": (1, 0), "recurrent": (1, 1), "output": (2, 1)}[kind]
    connections = list(two.layers[at].connections)
    most = int(np.abs(connections[place].weight).max())
    for more in range(1, 8):  # as long as larger weights say the same, it is the chip's
        connections[place] = replace(connections[place], exponent=two.layers[at].connections[place].exponent + more)
        found = mapping.unproven(with_layer(two, at, connections=tuple(connections)), target)
        assert (found is None) == (most << more <= 127)
    assert found.endswith(f"xylo2 has one shift for all {kind} connections{NOT_SHOWN}")


@pytest.mark.parametrize("target", DRAWS)
@pytest.mark.parametrize("threshold", [0, -63])
def test_thresholds_below_1_are_not_proven(target, threshold):
    case = drawn(target)
    low = with_layer(case.network, threshold=full(case.network.layers[0], threshold))
    assert f"has threshold {threshold} at neuron 0, and none below 1 was compared" in mapping.unproven(
        low, load_target(target)
    )


def behaves(network: FixedNetwork, **more) -> Behaviour:
    layers = {layer.name: LayerBehaviour(9, overflows_u=more.pop(layer.name, 0)) for layer in network.layers}
    return Behaviour(2, layers, 0, **more)


@pytest.mark.parametrize(("target", "said"), [
    ("loihi2", "which is saturate on loihi2 and wrap in the simulators of others"), ("loihi1", None), ("xylo2", None),
])  # fmt: skip
def test_overflows_of_u_on_data_are_proven_where_the_simulators_overflow_alike(target, said):
    network = drawn(target).network
    name, chip = network.layers[0].name, load_target(target)
    assert mapping.unproven(network, chip, behaves(network)) is None
    found = mapping.unproven(network, chip, behaves(network, **{name: 3}))
    assert found == (None if said is None else f"layer {name}: u overflowed 3 times on these data, {said}{NOT_SHOWN}")


@pytest.mark.parametrize("target", DRAWS)
def test_negative_inputs_on_data_are_not_proven(target):
    """Of integers, and of numbers that become such; where the target takes events alone, the rules warn."""
    network, chip = drawn(target).network, load_target(target)
    network = replace(network, input=InputEncoding(network.input.size, 0.5, 2))
    x = np.zeros((1, 5, network.input.size))
    x[0, 1] = 0.5
    for value, negative in ((0.5, False), (-0.1, False), (-0.4, True)):
        x[0, 3] = value
        activity = mapping.measure(network, x)
        found = mapping.unproven(network, chip, activity.behaviour())
        count = f"{network.input.size} input value{'s' * (network.input.size > 1)}"
        said = f"{count} below 0 on these data, and all that was compared are 0 or more{NOT_SHOWN}"
        assert found == (said if negative else None)
        warned = [f for f in mapping.check(network, chip, None, activity) if f.rule == "input_payload"]
        assert bool(warned) == (negative and target != "loihi2")
        assert all(each.severity == "warning" for each in warned)


def test_a_sum_that_nengo_loihi_wraps_is_not_proven():
    """With its sign: a sum that reaches as far only if what fires is chosen by its weights' sign."""
    network, target = drawn("loihi1").network, load_target("loihi1")
    layer = network.layers[0]
    size = network.input.size
    for weight, shift, bits in ((127, 6, None), (127, 14, 22), (-127, 14, 22), (127, 15, 23), (-127, 15, 23)):
        rows = np.zeros((layer.size, size), np.int64)
        rows[:, 0] = weight
        loud = replace(layer.connections[0], weight=rows, exponent=0)
        changed = with_layer(network, connections=(loud,), shift=shift, bias_v=full(layer, 0))
        found = mapping.unproven(changed, target)
        said = f"layer {layer.name}: a step's sum can have {bits} bits, and what was compared 22{NOT_SHOWN}"
        assert found == (said if bits == 23 else None)
        assert mapping.unproven(changed, load_target("loihi2")) is None or shift == 6  # Lava wraps no sum


@pytest.mark.parametrize("sign", [1, -1])
def test_a_bias_beside_a_u_near_its_ends_is_not_proven(sign):
    network, target = drawn("loihi1").network, load_target("loihi1")
    layer = network.layers[0]
    rows = np.full((layer.size, network.input.size), sign, np.int64)
    heard = replace(layer.connections[0], weight=rows, exponent=0)
    said = f"layer {layer.name}: u and the bias of neuron 0 can together pass 8,388,607"
    for a_u, bias, near in ((0, 64, False), (4095, 64, True), (4095, -64, False), (4095, 0, False), (2048, 64, False)):
        values = {
            "a_u": full(layer, a_u),
            "bias_v": full(layer, sign * bias),
            "shift": 14 - network.input.size.bit_length(),
        }
        found = mapping.unproven(with_layer(network, connections=(heard,), **values), target)
        assert (found is not None and found.startswith(said)) == near
        assert near or found is None


def test_on_data_a_sum_is_what_it_was_there():
    """As numpy counts it, connection by connection, each with its delay."""
    case, target = drawn("loihi1"), load_target("loihi1")
    layer = case.network.layers[0]
    network = with_layer(case.network, shift=13, bias_v=full(layer, 0))
    layer = network.layers[0]
    can = mapping.unproven(network, target)
    assert "a step's sum can have" in can
    for x in (case.x, np.zeros_like(case.x)):
        sums, (silent, data) = mapping.StepSums(network, target), (not x.any(), Dataset(x[None]))
        result = simulate(network, x[None], spikes=True)
        sums(data, x[None], 0, result)
        late = {"input": np.roll(x, 1, 0), layer.name: np.roll(result.spikes[layer.name][0], 1, 0)}
        late = {name: np.where(np.arange(len(x))[:, None] > 0, values, 0) for name, values in late.items()}
        total = sum((late[c.source] @ c.weight.T) << c.exponent + layer.shift for c in layer.connections)
        width = max(int(total.max()), ~int(total.min())).bit_length() + 1
        assert sums.bits[layer.name] == width
        found = mapping.unproven(network, target, None, sums)
        said = f"layer {layer.name}: a step's sum has, on these data, {width} bits, and what was compared 22{NOT_SHOWN}"
        assert found == (None if silent else said)
