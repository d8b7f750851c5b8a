"""``tclif report``: the page again, two builds side by side, figures for papers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from tclif_deploy.cli.options import command, saved
from tclif_deploy.cli.output import out, say_damaged
from tclif_deploy.errors import TclifError


@command("report")
def report_command(
    build: Annotated[Path | None, typer.Argument(metavar="BUILD", help="Build folder.", show_default=False)] = None,
    compare: Annotated[
        tuple[Path, Path] | None, typer.Option("--compare", metavar="A B", help="Two builds on one page, side by side.")
    ] = None,
    figures: Annotated[
        Path | None, typer.Option("--figures", help="Also write every figure as PNG and SVG into this folder.")
    ] = None,
    methods: Annotated[
        Path | None,
        typer.Option("--methods", help="Also write a paragraph for a paper: FILE.txt, or FILE.tex for LaTeX."),
    ] = None,
    output: Annotated[Path | None, saved("Page to write.", "BUILD/report.html, or comparison.html")] = None,
) -> None:
    """Write report.html again from what a build stores; or compare two builds; or draw figures for a paper."""
    from tclif_deploy.builds import Build
    from tclif_deploy.outputs import check_file_place, make_folder, write_together
    from tclif_deploy.report import page
    from tclif_deploy.report.methods import check_methods
    from tclif_deploy.report.methods import methods as methods_of
    from tclif_deploy.report.static import check_figures, write_figures

    if (build is None) == (compare is None):
        raise TclifError("tclif report needs one build folder, or --compare with two", "see tclif report --help")
    if figures is not None:
        check_figures()
    if methods is not None:
        if compare is not None:
            raise TclifError("--methods is of one build", "name the build, or leave --compare out")
        check_methods(methods)
        check_file_place(methods, (build,))
    if figures is not None:
        make_folder(figures)
    if compare is not None:
        builds, path = tuple(Build.open(folder) for folder in compare), output or Path("comparison.html")
    else:
        assert build is not None
        builds, path = (Build.open(build),), output or build / page.PAGE
    say_damaged(*builds)
    texts = {path: page.render(*builds)}
    if methods is not None:
        if os.path.realpath(methods) == os.path.realpath(path):
            raise TclifError(f"{methods}: is the page, too", "choose another file to write to")
        texts[methods] = methods_of(builds[0], latex=methods.suffix.lower() == ".tex")
    kept = [file for build in builds for file in build.folder.iterdir() if file.name != page.PAGE]
    files = {place: text.encode() for place, text in texts.items()}
    write_together(files, inputs=kept, parents=() if methods is None else (methods,))
    for place in texts:
        out.print(str(place), highlight=False, markup=False, soft_wrap=True)
    if figures is not None:
        names = ("",) if len(builds) == 1 else ("a", "b")
        count = sum(len(write_figures(b, figures / name)) for b, name in zip(builds, names, strict=True))
        out.print(f"{figures}: {count} files", highlight=False, markup=False, soft_wrap=True)
