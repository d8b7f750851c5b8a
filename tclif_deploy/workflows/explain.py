"""Where a build's error comes from, and what would help: ``explain.json`` in the build folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from tclif_deploy.arguments import checked
from tclif_deploy.builds import Build
from tclif_deploy.builds import folder as build_folder
from tclif_deploy.builds.attribution import FILE, Attribution, Worst
from tclif_deploy.data import DataLike, Dataset, as_dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.mapping import behaviour_findings
from tclif_deploy.progress import Bars, Say, no_bars, say_nothing
from tclif_deploy.quantization.calibration import Calibration, calibration_of
from tclif_deploy.report import page
from tclif_deploy.settings import Limits
from tclif_deploy.verification import verify
from tclif_deploy.verification.error_attribution import attribute_error
from tclif_deploy.verification.remedies import remedies
from tclif_deploy.verification.verdict import FloatAndFixed

SAMPLES = 100
"""a run of the whole network for each source of error alone and for all but it: more samples cost time"""


@checked
def explain(
    build: Build | Path | str,
    data: DataLike,
    *,
    calibration: DataLike | None = None,
    samples: Annotated[int | None, Limits(1)] = SAMPLES,
    jobs: Annotated[int, Limits(1, 1024)] = 2,
    say: Say = say_nothing,
    progress: Bars = no_bars,
) -> Attribution:
    """Attribute the error of a build on ``data`` to its sources; the result is also kept in the build's folder.

    Looked at are the first ``samples`` of those that the build would be verified on. ``calibration`` serves the
    remedies that are measured (default: the build's own). Raises `TclifError` where there is no such build, or where
    the data do not fit it.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import tclif_deploy as tc
    >>> rng = np.random.default_rng(0)
    >>> hidden = tc.Layer("hidden", tc.neurons.lif(8, decay=0.9, threshold=1.0),
    ...                   (tc.Connection("input", rng.normal(0, 0.5, (8, 3))),))
    >>> out = tc.Layer("out", tc.neurons.readout(2), (tc.Connection("hidden", rng.normal(0, 0.5, (2, 8))),))
    >>> network, x = tc.Network(3, (hidden, out)), rng.normal(0, 1, (8, 20, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     build = tc.compile(network, data=x, output=f"{folder}/build", options=tc.CompileOptions(backend="none"))
    ...     explained = tc.explain(build, x, calibration=x, jobs=1)
    >>> explained.worst.layer, explained.worst.source, [remedy.what for remedy in explained.remedies]
    ('out', 'weights', ['9-bit weights', 'one more bit for every weight'])
    """
    build = build if isinstance(build, Build) else Build.open(build)
    given = as_dataset(data, needed=True)
    if given.features != build.network.input_size:
        raise TclifError(
            f"{given.name}: {given.features} features a step, the network takes {build.network.input_size}",
            "give data like those that the build was verified on",
        )
    test = build.unseen(given[: build.manifest.samples])
    test = test if samples is None else test[:samples]
    chosen, calibrating = _calibration(build, as_dataset(calibration, "calibration"), say)
    say(f"float against fixed on {test.samples} samples")
    verdict = verify(build.network, build.fixed, test, progress=progress("samples"))
    say("quantizing each source of error alone, and all but it")
    attribution = attribute_error(
        build.network, build.fixed, test, calibrating, saturations=verdict.saturations, progress=progress("runs"),
        jobs=jobs,
    )  # fmt: skip
    measured: tuple[Any, ...] = ()
    if calibrating is not None and build.report.finetune is None:
        say(f"measuring what would help, calibrated on {chosen}")
        measured = remedies(
            attribution, build.network, build.target, build.settings, test, calibrating, progress=progress("remedies"),
            jobs=jobs,
        )  # fmt: skip
    worst = None if attribution.worst is None else Worst(*attribution.worst)
    result = Attribution(
        data=test.name, calibration=chosen, remedies=measured,
        findings=behaviour_findings(build.fixed, verdict.behaviour()),
        accuracy=FloatAndFixed(verdict.accuracy_float, verdict.accuracy_fixed), interaction=attribution.interaction,
        layer_interaction=attribution.layer_interaction, worst=worst,
        **vars(attribution),
    )  # fmt: skip
    build_folder.write_json(build.folder / FILE, result)
    if page.missing() is None:
        say(f"writing {page.PAGE}")
        reopened = Build.open(build.folder)
        for line in reopened.damaged:
            say(line)
        page.write_page(reopened)
    return result


def _calibration(build: Build, given: Dataset | None, say: Say) -> tuple[Calibration, Dataset | None]:
    """What the remedies are quantized on: what is given, or what set the build's own scales."""
    if given is not None:
        return calibration_of("given", given), given
    try:
        return build.calibration, build.calibration.load()
    except TclifError as error:
        say(f"no remedies are measured: {error}")
        return build.calibration, None
