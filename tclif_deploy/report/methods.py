"""A methods paragraph for a paper, from what a build remembers: plain text or LaTeX."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tclif_deploy.backends.rtl.synthesis import RESOURCES, Synthesis
from tclif_deploy.builds import Build
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import weight_bits
from tclif_deploy.network import weights
from tclif_deploy.report.verdict_text import headline
from tclif_deploy.text import count, energy, number, span

SUFFIXES = (".txt", ".tex")
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "µ": r"\textmu{}", "−": "$-$", "→": r"$\rightarrow$",
    "->": r"$\rightarrow$", "²": r"\textsuperscript{2}", "×": r"$\times$", "–": "--",
}  # fmt: skip
"""what LaTeX does not take as it is"""
NAMES = {"python": "Python", "numpy": "NumPy", "torch": "PyTorch", "nir": "NIR"}
"""package -> how papers call it"""
SHOWN_DIGITS = 16
"""of a SHA-256"""


def check_methods(path: Path) -> None:
    """Raise `TclifError` unless ``path`` is called as one of `SUFFIXES`."""
    if path.suffix.lower() not in SUFFIXES:
        raise TclifError(f"{path}: a methods paragraph is plain text or LaTeX", "choose a .txt or a .tex")


def methods(build: Build, latex: bool = False) -> str:
    """Bits, rounding, calibration, data, verdict, versions, and the evidence of each energy figure, in one paragraph.

    Examples
    --------
    >>> import numpy as np
    >>> import tempfile
    >>> import tclif_deploy as tc
    >>> from tclif_deploy.report.methods import methods
    >>> out = tc.Layer("out", tc.neurons.readout(2), (tc.Connection("input", np.array([[0.5, -1.0], [1.0, 0.25]])),))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     options = tc.CompileOptions(backend="none")
    ...     build = tc.compile(tc.Network(2, (out,)), output=f"{folder}/build", options=options)
    >>> methods(build).splitlines()[0][:72]
    'The trained network (1 layer, 0 of them spiking; 2 neurons, 4 weights), '
    """
    paragraph = " ".join(_sentences(build))
    if latex:
        return _latex(paragraph) + "\n"
    return paragraph.replace("`", "") + "\n"


def _sentences(build: Build) -> Iterator[str]:
    """What is a name stands between backticks."""
    manifest, fixed, m = build.manifest, build.fixed, build.fixed.arithmetic
    spiking = [layer for layer in fixed.layers if layer.spiking]
    sizes = f"{count(sum(la.size for la in fixed.layers), 'neuron')}, {sum(map(weights, fixed.layers)):,} weights"
    model = f"the file `{Path(manifest.model.path).name}`{_hash(manifest.model.sha256)}"
    if manifest.model.sha256 is None:
        model = f"a live module of class `{manifest.model.path}`"
    yield (
        f"The trained network ({count(len(fixed.layers), 'layer')}, {len(spiking)} of them spiking; {sizes}), {model}, "
        f"was converted to integers for the target `{build.target.name}` with tclif_deploy "
        f"{manifest.versions['tclif_deploy']} ({_versions(manifest.versions)})."
    )
    bits = [weight_bits(layer) for layer in fixed.layers]
    wide = f"{bits[0]} bits" if len(set(bits)) == 1 else f"{', '.join(map(str, bits))} bits by layer"
    overflow = " and ".join(dict.fromkeys((_overflow(m.overflow_u), _overflow(m.overflow_v))))
    states = f"{m.bits_u} bits" if m.bits_u == m.bits_v else f"{m.bits_u} bits (dendrite) and {m.bits_v} bits (soma)"
    yield (
        f"Weights have {wide}, the neurons' factors {m.frac_bits} fractional bits and their states {states}; products "
        f"are rounded {_rounding(m.rounding)}, and states that overflow {overflow}."
    )
    if m.unusual:
        yield f"The target's own rules hold besides: {', '.join(m.unusual)}."
    passes = ", ".join(manifest.settings.passes) or "no passes"
    left = ", which the verdict leaves out" if manifest.calibration.kind == "first_quarter" else ""
    if manifest.calibration.kind == "bound":
        yield "No data set the scales: they hold the worst case of bounded input."
    else:
        yield (
            f"State scales were calibrated on {_named(str(manifest.calibration), manifest.calibration.path)}"
            f"{_hash(manifest.calibration.sha256)}{left}; quantization used {passes}."
        )
    if manifest.finetune is not None:
        epochs = count(manifest.finetune.epochs, "epoch")
        yield f"The integers were fine-tuned for {epochs} by straight-through gradients."
    yield from _verdict(build)
    yield from _cost(build)
    if build.synthesis is not None:
        yield from _circuit(build.synthesis)


def _verdict(build: Build) -> Iterator[str]:
    verdict, source = build.report.verdict(), build.manifest.verified_on
    if verdict is None:
        yield "Nothing was verified: no data were given."
        return
    said = headline(build)
    where = "data in memory" if source is None or source.path is None else f"`{Path(source.path).name}`"
    told = "" if source is None else _hash(source.sha256)
    yield (
        f"Float and fixed-point network were run on {count(verdict.samples, 'sample')} of {where}{told}, read by the "
        f"rule {verdict.rule}: {said.sentence} (verdict: {said.word.lower()})."
    )
    if build.report.unproven is not None:
        yield f"{build.report.unproven[0].upper()}{build.report.unproven[1:].rstrip('.')}."
    for name, check in verdict.backends.items():
        if check.equal:
            yield (
                f"The program of the backend `{name}` was run on {count(check.samples, 'sample')} and equals the "
                f"bit-accurate reference in each spike and state."
            )


def _cost(build: Build) -> Iterator[str]:
    report = build.report
    cost, latency = report.energy, report.latency
    if cost is None or cost.nj_per_inference_low is None:
        return
    whose = f" of {report.figures}" if report.figures else ""
    yield (
        f"Energy is modelled, not measured: counted operations times published figures{whose} give "
        f"{energy(cost.nj_per_inference_low, cost.nj_per_inference_high)} an inference"
        + (
            f", and {span(latency.us_per_step_low, latency.us_per_step_high, 3)} µs a step."
            if latency is not None and latency.us_per_step is not None
            else "."
        )
    )
    evidence: dict[str, list[str]] = {}
    for name in cost.sources:
        figure = getattr(build.target, name)
        told = f"{figure.evidence}, {figure.source}"
        evidence.setdefault(told, []).append(name.removeprefix("energy_").replace("_", " "))
    told = "; ".join(f"{', '.join(names)}: {source}" for source, names in evidence.items())
    yield f"Evidence of each figure: {told}."


def _circuit(s: Synthesis) -> Iterator[str]:
    """How the circuit was placed."""
    tools = ", ".join(f"{name} {version}" for name, version in s.tools.items())
    used = ", ".join(
        f"{used:,} of {s.available[name]:,} {RESOURCES.get(name, name).replace('_', ' ')}"
        for name, used in s.used.items()
    )
    yield (
        f"Its circuit was placed in an FPGA, {s.device} ({s.package}), with open tools ({tools}; seed {s.seed}): it "
        f"takes {used}, and timing analysis gives a clock of {s.clock_mhz:.1f} MHz, of {s.asked_mhz:g} MHz asked for."
    )
    if s.clocks is not None and s.us_per_step is not None and s.us_per_inference is not None:
        yield (
            f"In clock-accurate simulation on {count(s.clocks.samples, 'sample')} a step took {s.clocks.mean:.0f} "
            f"clocks on average and {s.clocks.longest:,} at most, at that clock {number(s.us_per_step[0])} µs and "
            f"{number(s.us_per_step[1])} µs, and a sample {number(s.us_per_inference)} µs."
        )
    yield "The circuit did not run on a board."


def _versions(versions: dict[str, str]) -> str:
    """Python and the packages that took part, by their usual names."""
    others = (f"{NAMES.get(name, name)} {version}" for name, version in versions.items() if name != "tclif_deploy")
    return ", ".join(others)


def _rounding(rule: str) -> str:
    return {"toward_zero": "toward zero", "floor": "down", "nearest": "to nearest", "ceiling": "up"}[rule]


def _overflow(rule: str) -> str:
    return {"saturate": "saturate", "wrap": "wrap around", "saturate_full": "saturate at their full range"}[rule]


def _named(words: str, path: str | None) -> str:
    """``words`` with the path in them as a file's name."""
    return words if path is None else words.replace(path, f"`{Path(path).name}`")


def _hash(digest: str | None) -> str:
    return f" (SHA-256 {digest[:SHOWN_DIGITS]}…)" if digest else ""


def _latex(text: str) -> str:
    """``text`` for LaTeX; what stands between backticks becomes typewriter."""
    parts = text.split("`") if text.count("`") % 2 == 0 else [text]
    escaped = [_escaped(part) for part in parts]
    return "".join(rf"\texttt{{{part}}}" if n % 2 else part for n, part in enumerate(escaped))


def _escaped(text: str) -> str:
    out, at = [], 0
    while at < len(text):
        size = 2 if text[at : at + 2] in LATEX else 1
        out.append(LATEX.get(text[at : at + size], r"\ldots{}" if text[at] == "…" else text[at]))
        at += size
    return "".join(out)
