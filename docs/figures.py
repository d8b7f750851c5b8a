"""The plots and tables of docs/quantization.md, computed: ``python docs/figures.py`` (some minutes on one core).

Writes ``docs/assets/*.svg``, and the tables between the marks of docs/quantization.md.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

import tclif_deploy as tc
from tclif_deploy.formulas import rotation_frequency
from tclif_deploy.network import Network
from tclif_deploy.quantization import QuantizeSettings
from tclif_deploy.quantization import layer_plan as plan
from tclif_deploy.quantization.couplings import CouplingPair, coupling_pair
from tclif_deploy.quantization.settings import PASSES
from tclif_deploy.report.static import STYLE
from tclif_deploy.simulation.reference import rnd

ROOT = Path(__file__).parent.parent
ASSETS = ROOT / "docs" / "assets"
FIXTURE = ROOT / "fixtures" / "smnist_ff"
STEPS, NEURONS, SEED = 784, 400, 0
K = 12
ROUNDINGS = ("toward_zero", "floor", "nearest")
COLORS = {"toward_zero": "#b85400", "floor": "#54707f", "nearest": "#0065a3"}
DASHES = {"toward_zero": "-", "floor": ":", "nearest": "--"}


def rounded_alone(b_u: float, b_v: float, k: int) -> CouplingPair:
    """What a quantizer does that rounds each coupling by itself."""
    big_u, big_v = round(b_u * 2**k), round(b_v * 2**k)
    return CouplingPair(big_u, big_v, 1.0, abs(big_u * big_v / (b_u * b_v * 4.0**k) - 1) if b_u * b_v else 0.0)


def leak() -> dict[str, list[float]]:
    """RMS distance in LSB, step by step, of the rounded rotation from the exact one with the same couplings."""
    rng = np.random.default_rng(SEED)
    one = 2**K
    b_u, b_v = -rng.integers(one // 4, 3 * one // 4, NEURONS), rng.integers(one // 4, 3 * one // 4, NEURONS)
    start = rng.integers(-200_000, 200_001, (2, NEURONS))
    results = {}
    for rounding in ROUNDINGS:
        u, v = start[0].copy(), start[1].copy()
        real_u, real_v = start[0].astype(float), start[1].astype(float)
        rms = []
        for _ in range(STEPS):
            u = u + rnd(b_u * v, K, rounding)
            v = v + rnd(b_v * u, K, rounding)
            real_u = real_u + b_u * real_v / one
            real_v = real_v + b_v * real_u / one
            rms.append(math.sqrt(float(((u - real_u) ** 2 + (v - real_v) ** 2).mean() / 2)))
        results[rounding] = rms
    return results


def frequency_errors() -> dict[str, dict[int, tuple[float, float]]]:
    """Bits -> (median, largest) relative error of the rotation's frequency, over couplings as training leaves them."""
    rng = np.random.default_rng(SEED)
    pairs = 1 / (1 + np.exp(-rng.normal(0, 0.5, (200, 2))))
    methods: dict[str, Callable[[float, float, int], CouplingPair]] = {"alone": rounded_alone, "pair": coupling_pair}
    results: dict[str, dict[int, tuple[float, float]]] = {}
    for name, method in methods.items():
        results[name] = {}
        for bits in range(6, 17):
            errors = []
            for c1, c2 in pairs.tolist():
                pair = method(-c1, c2, bits)
                after = rotation_frequency(pair.b_u / 2**bits, pair.b_v / 2**bits)
                errors.append(abs(after / rotation_frequency(-c1, c2) - 1))
            results[name][bits] = (float(np.median(errors)), float(np.max(errors)))
    return results


def jaccards(network: Network, test: tc.Dataset) -> dict[str, list[float]]:
    """Spike overlap (Jaccard) by layer with 16-bit weights, so that couplings and rounding are what is left."""
    results = {}
    for name, method, rounding in (
        ("each rounded alone, nearest", rounded_alone, "nearest"),
        ("product kept, nearest", coupling_pair, "nearest"),
        ("product kept, toward zero", coupling_pair, "toward_zero"),
    ):
        target = tc.load_target("loihi2").override(weight_bits=16, rounding=rounding)
        with mock.patch.object(plan, "coupling_pair", method):
            fixed = tc.quantize(network, target, FIXTURE / "calibration.npz", QuantizeSettings(passes=()))
        results[name] = [layer.jaccard or 0.0 for layer in tc.verify(network, fixed, test).layers]
    return results


def weight_widths(network: Network, test: tc.Dataset) -> dict[str, dict[str, list[float | None]]]:
    """Weight bits -> agreement and fixed-point accuracy, rounded to nearest and with every pass."""
    results: dict[str, dict[str, list[float | None]]] = {}
    for name, passes in (("nearest", ()), ("all passes", PASSES)):
        results[name] = {}
        for bits in (3, 4, 6, 8):
            target = tc.load_target("loihi2").override(weight_bits=bits)
            settings = QuantizeSettings(passes=passes)
            verdict = tc.verify(network, tc.quantize(network, target, FIXTURE / "calibration.npz", settings), test)
            results[name][str(bits)] = [verdict.agreement_argmax, verdict.accuracy_fixed, verdict.accuracy_float]
    return results


def save(figure: Figure, name: str) -> None:
    figure.savefig(ASSETS / f"{name}.svg", metadata={"Date": None, "Creator": None})


def table(columns: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in (columns, ["---"] * len(columns), *rows)]
    return "\n".join(lines)


def write_tables(
    drift: dict[str, list[float]],
    errors: dict[str, dict[int, tuple[float, float]]],
    spikes: dict[str, list[float]],
    widths: dict[str, dict[str, list[float | None]]],
    layers: list[str],
) -> None:
    """Fill the places between ``<!-- name -->`` and ``<!-- end -->`` of the guide."""
    first = next(iter(widths.values()))
    results = {
        "leak": table(
            ["rounding", "rms error after 784 steps"],
            [[name.replace("_", " "), f"{rms[-1]:.1f} LSB"] for name, rms in drift.items()],
        ),
        "frequency": table(
            ["at 12 bits", "median error of ω", "largest"],
            [
                [label, f"{errors[name][12][0]:.1e}", f"{errors[name][12][1]:.1e}"]
                for name, label in (("alone", "each rounded alone"), ("pair", "product kept"))
            ],
        ),
        "jaccard": table(["", *layers], [[name, *(f"{v:.3f}" for v in values)] for name, values in spikes.items()]),
        "weights": table(
            ["weight bits", *(f"{name}: {what}" for name in widths for what in ("agreement", "accuracy"))],
            [[bits, *(f"{100 * (v or 0):.1f} %" for name in widths for v in widths[name][bits][:2])] for bits in first],
        )
        + f"\n\nThe float network's accuracy on these 100 images is {100 * (first['8'][2] or 0):.1f} %.",
    }
    page = ROOT / "docs" / "quantization.md"
    text = page.read_text(encoding="utf-8")
    for name, content in results.items():
        mark = re.compile(rf"<!-- {name} -->.*?<!-- end -->", re.DOTALL)
        assert mark.search(text), name
        text = mark.sub(lambda _, n=name, c=content: f"<!-- {n} -->\n\n{c}\n\n<!-- end -->", text)
    page.write_text(text, encoding="utf-8")


def main() -> None:
    ASSETS.mkdir(exist_ok=True)
    network, test = tc.load(FIXTURE / "checkpoint.pth.tar"), tc.load_data(ROOT / "fixtures" / "smnist_test.npz")
    drift, errors = leak(), frequency_errors()
    spikes, widths = jaccards(network, test[:20]), weight_widths(network, test[:100])
    write_tables(drift, errors, spikes, widths, [layer.name for layer in network.spiking_layers])
    with rc_context(STYLE | {"text.parse_math": True}):
        figure = Figure(figsize=(6.4, 2.8))
        axes = figure.subplots()
        for name, rms in drift.items():
            axes.plot(np.arange(1, STEPS + 1), rms, DASHES[name], color=COLORS[name], label=name.replace("_", " "))
        axes.set(xlabel="step", ylabel="rms error, LSB", title="A rotation that nothing damps, rounded", yscale="log")
        axes.legend(frameon=False)
        save(figure, "rounding-leak")

        figure = Figure(figsize=(6.4, 2.8))
        axes = figure.subplots()
        for name, color, label in (("alone", "#b85400", "each rounded alone"), ("pair", "#0065a3", "product kept")):
            bits = list(errors[name])
            for n, (dash, what) in enumerate((("-", "median"), (":", "largest"))):
                axes.plot(bits, [errors[name][b][n] for b in bits], dash, color=color, label=f"{label}, {what}")
        axes.set(xlabel="fractional bits of the couplings", ylabel="relative error of ω", yscale="log")
        axes.set_title("The rotation's frequency after rounding")
        axes.legend(frameon=False, fontsize=7)
        save(figure, "frequency-error")

        figure = Figure(figsize=(6.4, 2.6))
        axes = figure.subplots()
        for n, ((name, values), color) in enumerate(
            zip(spikes.items(), ("#b85400", "#0065a3", "#54707f"), strict=True)
        ):
            axes.bar(np.arange(len(values)) + 0.27 * (n - 1), values, 0.25, color=color, label=name)
        axes.set_xticks(range(len(network.spiking_layers)), [layer.name for layer in network.spiking_layers])
        axes.set(
            ylabel="spike Jaccard", title="What couplings and rounding do to spikes (16-bit weights)", ylim=(0, 1.3)
        )
        axes.legend(frameon=False, fontsize=7, ncols=3, loc="upper center")
        save(figure, "jaccard")

        figure = Figure(figsize=(6.4, 2.8))
        axes = figure.subplots()
        for name, color, dash in (("nearest", "#b85400", "--"), ("all passes", "#0065a3", "-")):
            bits = [int(b) for b in widths[name]]
            axes.plot(bits, [100 * v[0] for v in widths[name].values()], "o" + dash, color=color, label=name)
        axes.set(xlabel="weight bits", ylabel="argmax agreement, %", title="Weights on loihi2, 100 test images")
        axes.legend(frameon=False)
        save(figure, "weight-bits")


if __name__ == "__main__":
    main()
