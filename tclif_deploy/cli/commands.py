"""The commands by name: each is loaded when it is asked for, so that none waits for what another needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import typer

from tclif_deploy.cli.spellings import OldSpellings

COMMANDS = {
    "compile": "Compile a trained network: read, quantize, emit, and verify float against fixed against the backend.",
    "show": "Print a build's report in tables: the verdict, then every section.",
    "report": "Write report.html again from what a build stores; or compare two builds; or draw figures for a paper.",
    "verify": (
        "Run a build's float network and its integers on data, and say how alike they are. Random inputs: tclif fuzz."
    ),
    "fuzz": "Run random inputs through a build's backends and the reference, and compare every spike and state.",
    "simulate": "Run a compiled network's integers on data: accuracy, rate, spikes and synaptic operations by layer.",
    "explain": "Attribute a build's error: by source and layer, with the first spike that differs and what would help.",
    "inspect": "Show what a model file holds: layers, neurons, coefficients, conventions, and what had to be assumed.",
    "check": "Say whether a model or a build fits a target: every design rule is run, and every finding is printed.",
    "cost": "Count what a network does on data, and what that costs: cores, energy, latency.",
    "analyse": (
        "Draw what the paper shows, of your own network: gradients over time, learning curves, loss, couplings, "
        "dynamics; and its sensitivity to errors of weights."
    ),
    "anytime": "Decide early: accuracy and modelled energy over steps read, by the network's rule and at a margin.",
    "sweep": "Quantize, run and place a network at every point of a grid: agreement against memory and energy.",
    "robust": (
        "Disturb a build's integers and its input at random, many times: accuracy under mismatch, faults and flipped "
        "bits."
    ),
    "finetune": "Fine-tune a network through the target's exact integers, and build what came out as compile does.",
    "train": "Train a network by name: the paper's, or those for spoken digits, ECG and the Mackey-Glass series.",
    "export": (
        "Write a model as NIR (standard neurons as NIR's own nodes), netx of lava-dl, integer ONNX, or our torch file."
    ),
    "synth": "Place a build's circuit in an FPGA with Yosys and nextpnr: resources, clock, and time of a step on data.",
    "export-data": "Write samples as NIR's data, which nir.read_data reads: on a grid of steps, or as events.",
    "rebuild": "Compile a build's model again with the recorded options, and compare every file, byte for byte.",
    "targets": "List the targets, or show one with every number's unit, source and evidence.",
    "verify-target": (
        "Run random networks through a target's arithmetic and through simulators that others made of its chip."
    ),
    "doctor": "Say what is installed, what is missing and the exact commands that install it; try every backend.",
}
"""name -> the first paragraph of its help, in the order of use: the main job, what its build is good for, what comes
before and after it"""


class Loaded(Mapping[str, Any]):
    """Name -> command, whose file is imported when it is looked up."""

    def __getitem__(self, name: str) -> Any:
        if name not in COMMANDS:
            raise KeyError(name)
        import_module(f"tclif_deploy.cli.{name.replace('-', '_')}")  # it registers itself
        from tclif_deploy.cli.options import registered

        return typer.main.get_group(registered).commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class Commands(OldSpellings):
    """The commands, loaded one at a time."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands: Any = Loaded()

    def summaries(self) -> list[tuple[str, str]]:
        """A row of the help for each, none of them loaded."""
        return list(COMMANDS.items())


app = typer.Typer(
    name="tclif",
    cls=Commands,
    rich_markup_mode=None,
    help="Compile trained TC-LIF spiking networks for neuromorphic hardware, and prove that they still work.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
