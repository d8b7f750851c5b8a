"""What proves a target, in the terminal: what was compared with whose simulator, and what is open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from tclif_deploy.report.content import Block, Level, Note
from tclif_deploy.report.terminal.blocks import show_blocks
from tclif_deploy.target import Target
from tclif_deploy.text import count

if TYPE_CHECKING:  # it brings the engine, which a list of targets does without
    from tclif_deploy.oracles.compare import OracleCheck


def print_target_check(
    console: Console,
    target: str,
    checks: Sequence[OracleCheck],
    not_covered: Sequence[str] = (),
    no_difference: Sequence[str] = (),
) -> None:
    """Each simulator's comparison, where it first differs, what none covers, and which rules of a file changed nothing
    in the networks: nothing is shown of them."""
    blocks: list[Block] = []
    for check in checks:
        label = f"{check.oracle} {check.version}"
        compared = f"{count(check.neuron_steps, 'neuron step')} of {count(check.cases, 'random network')}"
        what = f"{check.spikes:,} spikes, {check.several:,} of them more than one a step, {check.overflows:,} overflows"
        if check.neuron_steps:
            result = "every spike and state equal" if not check.differing else f"{check.differing:,} differ"
            blocks.append(Note(f"{compared} ({what}): {result}", label, "bad" if check.differing else "good"))
        if check.first is not None:
            blocks.append(Note(str(check.first), "first difference", "bad"))
        if check.refusals:
            text = f"{count(check.refusals, 'network')} with numbers that the chip has not: {check.refused}"
            blocks.append(Note(text, label, "bad"))
    blocks += [Note(text, "not covered", "open") for text in not_covered]
    equal = all(check.equal for check in checks)
    level: Level = "good" if equal else "bad"
    said = "equal in every bit" if equal else "is not what they compute"
    if no_difference:
        said += f"; but nothing is shown of {', '.join(no_difference)}, which made no difference in these networks"
        level = "open"
    blocks.append(Note(said, target, level))
    show_blocks(console, blocks)


def proof_notes(target: Target) -> list[Block]:
    """What a target's file says of it."""
    proof = target.proof
    if proof is None or not proof.compared:
        blocks: list[Block] = [Note("no simulator of others was compared with it", "proof", "open")]
    else:
        blocks = [
            Note(
                f"{count(each.neuron_steps, 'neuron step')}, every spike and state equal: {each.covers}"
                if each.neuron_steps
                else "not compared with these rules (tclif verify-target)",
                f"proof, {each.oracle} {each.version}",
                "good" if each.neuron_steps else "open",
            )
            for each in proof.compared
        ]
    if proof is not None and not proof.steps:
        blocks.append(Note("the chip does not work in steps: no bits are claimed to be its own", "proof", "open"))
    return [*blocks, *(Note(text, "not covered", "open") for text in (proof.not_covered if proof else ()))]
