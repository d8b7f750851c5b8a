"""``tclif verify``: a build's integers against its float network, on data."""

from __future__ import annotations

import typer

from tclif_deploy.cli.options import BuildFolder, Data, Samples, TaskOption, command
from tclif_deploy.cli.output import FELL_SHORT, Output, out
from tclif_deploy.verification.requirements import Requirements


@command("verify", without=["max_energy", "max_latency", "max_cores"])  # a build says what it costs: tclif show
def verify_command(
    build: BuildFolder,
    *,
    data: Data,
    task: TaskOption = None,
    samples: Samples = None,
    requirements: Requirements,
    printed: Output,
) -> None:
    """Run a build's float network and its integers on data, and say how alike they are. Random inputs: tclif fuzz.

    Exit code 0: verified (and every requirement met); 1: the verdict falls short; 2: bad input.
    """
    from tclif_deploy.builds import Build
    from tclif_deploy.data import load_data
    from tclif_deploy.mapping import StepSums, unproven
    from tclif_deploy.report.terminal.tables import print_verdict
    from tclif_deploy.simulation.scores import check_classes
    from tclif_deploy.verification.fidelity import run_both
    from tclif_deploy.workflows.compile import check_requirements, say_task

    opened = Build.open(build)
    test = opened.unseen(load_data(data, task))[:samples]
    with printed.running() as reporter:
        check_requirements(requirements, test)
        say_task(test, task, reporter.say)
        check_classes(test, opened.network.outputs)
        reporter.say(f"verifying float against fixed on {test.samples} samples")
        sums = StepSums(opened.fixed, opened.target)
        verdict = run_both(opened.network, opened.fixed, test, "auto", reporter.progress("samples"), sums)
    judgement = requirements.judge(verdict, target=opened.target)
    open_ = unproven(opened.fixed, opened.target, verdict.behaviour(), sums)
    if not opened.report.fits:
        reporter.say(f"the build does not fit {opened.target.name}, whatever the verdict: tclif show says why")
    printed.result(
        {**verdict.to_json(), **judgement._asdict(), "verdict": judgement.word, "unproven": open_},
        lambda: print_verdict(out, verdict, judgement, open_),
    )
    if judgement.shortfalls:
        raise typer.Exit(FELL_SHORT)
