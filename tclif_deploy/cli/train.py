"""``tclif train``: train a network by name."""

from __future__ import annotations

from dataclasses import asdict

from tclif_deploy.cli.options import command
from tclif_deploy.cli.output import Output, keeps, out
from tclif_deploy.errors import TclifError
from tclif_deploy.nn.config import TrainConfig


@command("train")
def train_command(config: TrainConfig, printed: Output) -> None:
    """Train a network by name: the paper's, or those for spoken digits, ECG and the Mackey-Glass series.

    Run again after an interruption to go on where it stopped. What is learned is what the data's targets are: labels
    or numbers, of samples or of each step.

    A checkpoint in the authors' layout is written after every epoch, so that at most one epoch is ever lost.
    """
    from tclif_deploy.nn.fit import resume_path
    from tclif_deploy.nn.train import train

    if not config.out.name:
        raise TclifError("--output is empty", "give the checkpoint's file")
    with printed.running() as reporter:
        keeps(resume_path(config.out))
        result = train(config, reporter.progress("samples"), reporter.say)
    best = result.history[result.best - 1]
    printed.result(
        {"path": str(result.path), "best": result.best, "history": [asdict(epoch) for epoch in result.history]},
        lambda: out.print(
            f"{result.path}: epoch {result.best}, {best.result()} on the test set",
            highlight=False,
            markup=False,
            soft_wrap=True,
        ),
    )
