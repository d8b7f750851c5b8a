"""The verdict in words: one sentence, the same on the page and on the terminal."""

from __future__ import annotations

from dataclasses import dataclass

from tclif_deploy.builds import Build
from tclif_deploy.report.content import Level
from tclif_deploy.text import label_layers, layer_labels
from tclif_deploy.verification import Judgement
from tclif_deploy.verification.tables import sentence

LEVELS: dict[str, Level] = {"VERIFIED": "good", "UNCERTAIN": "open", "FALLS SHORT": "bad", "COMPARED": "plain"}


@dataclass(frozen=True)
class Headline:
    """The verdict: a word with its buts, a colour for it, and one sentence with the numbers."""

    word: str
    level: Level
    sentence: str

    def __str__(self) -> str:
        return f"{self.word}: {self.sentence}"


def headline(build: Build) -> Headline:
    """The verdict of a build: what was compared, what was asked for, and what contradicts a good word."""
    report, verdict = build.report, build.report.verdict()
    labels = layer_labels([layer.name for layer in build.fixed.layers])
    word = Judgement(report.shortfalls, report.uncertain, report.limited).word
    level = LEVELS[word]
    if verdict is None:
        word, level = "COMPILED, NOT VERIFIED", "open"
    buts = [] if report.fits else [f"DOES NOT FIT {build.target.name}"]
    faults: dict[str, list[str]] = {}
    for finding in report.findings:
        if finding.severity == "error" and not finding.is_misfit:
            faults.setdefault(finding.rule.replace("_", " ").upper(), []).append(finding.subject)
    buts += [f"{rule}: {', '.join(subjects)}" for rule, subjects in faults.items()]
    if buts:
        joint = "and" if level == "bad" else "but"
        word, level = label_layers(f"{word}, {joint} {' and '.join(buts)}", labels), "bad"
    if verdict is None:
        return Headline(word, level, "nothing was verified, no data were given (--data FILE)")
    text = "; ".join([sentence(verdict), *report.shortfalls, *report.uncertain])
    return Headline(word, level, label_layers(text, labels))
