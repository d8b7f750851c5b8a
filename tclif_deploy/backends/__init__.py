"""Backends: each turns a `FixedNetwork` into something that runs elsewhere.

A backend is a module (or object) with the functions of `Backend`. Another package adds its own by an entry point::

    [project.entry-points."tclif_deploy.backends"]
    mychip = "my_package.my_module"

``docs/example_backend`` is a complete one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import import_module, metadata
from pathlib import Path
from typing import Protocol, cast

from tclif_deploy.arguments import checked
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork, Int
from tclif_deploy.network import LATER_ARRAYS
from tclif_deploy.progress import Progress, no_progress
from tclif_deploy.simulation.result import Result
from tclif_deploy.target import Target

GROUP = "tclif_deploy.backends"
"""the entry points' group"""
BUILTIN = {name: f"tclif_deploy.backends.{name}" for name in ("lava", "onnx", "c", "engine", "rtl")}
"""name -> module; known without entry points too, and no plug-in can take their names"""
FUNCTIONS = ("check_installed", "emit", "run")
NAME = re.compile(r"[a-z][a-z0-9_]*")
"""what a backend may be called: its folder in a build is named after it"""


class Backend(Protocol):
    """What a backend's module offers; ``docs/example_backend`` is a complete one.

    It may say ``READOUTS``, a tuple of the names of readout rules (`tclif_deploy.readout.Rule`) that it computes;
    ``tclif_deploy.readout.OF_INTEGERS`` are all that a fixed-point network can have. Without, only networks with the
    usual readout (the soma after the last step, or the number of spikes of an output that fires) reach its `emit`:
    see `check_readout`. Likewise ``RULES`` names fields of `tclif_deploy.fixed.Arithmetic` in which it computes more
    than products that are rounded toward zero, down or to the nearest, and sums that saturate or wrap: see
    `check_arithmetic`. One that says ``STARTS = True`` computes ``u0``, ``s0`` and what a hard reset takes from the
    dendrite: see `check_starts`, and ``start_states`` of `tclif_deploy.simulation.reference`.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> fixed = tc.quantize(digits, "loihi2", test[:8], tc.QuantizeSettings(passes=()))  # passes take a second
    >>> loihi2, engine = tc.load_target("loihi2"), tc.backends.get("engine")
    >>> integers, _ = fixed.input.encode(test[:4].x, test.scale)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     engine.emit(fixed, loihi2, Path(folder, "engine"))
    ...     result = engine.run(Path(folder, "engine"), integers, lengths=test[:4].lengths)
    >>> result.classes.tolist()
    [5, 3, 0, 4]
    """

    def check_installed(self) -> None:
        """Raise `TclifError`, saying how to install, where what `run` needs is missing."""

    def emit(self, fixed: FixedNetwork, target: Target, folder: Path) -> None:
        """Write everything that runs ``fixed`` into ``folder``, which may not exist yet.

        ``target`` is what the network was compiled for. Raises `TclifError` where the backend cannot compute the
        network exactly.
        """

    def run(
        self,
        folder: Path,
        x: Int,
        *,
        lengths: Int | None = None,
        batched: bool = False,
        progress: Progress = no_progress,
    ) -> Result:
        """Run what `emit` wrote on input integers ``x`` (samples, time, features): all that the reference says.

        ``lengths`` (samples,) is after how many steps a sample's readout is taken. ``batched`` asks for a faster
        form, where a backend has one. Raises `TclifError`.
        """


def names() -> tuple[str, ...]:
    """Every backend that is known, the built-in ones first.

    Examples
    --------
    >>> from tclif_deploy import backends
    >>> backends.names()[:4]
    ('lava', 'onnx', 'c', 'engine')
    """
    added = {point.name for point in _entry_points() if NAME.fullmatch(point.name)} - set(BUILTIN)
    return (*BUILTIN, *sorted(added))


@checked
def get(name: str) -> Backend:
    """The backend of that name. Raises `TclifError` for an unknown one, and for a plug-in that is none.

    Examples
    --------
    >>> from tclif_deploy import backends
    >>> backends.get("c").__name__
    'tclif_deploy.backends.c'
    >>> backends.get("fpga")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    tclif_deploy.errors.TclifError: backend 'fpga' is not known; known: lava, onnx, c, ...
    """
    if name in BUILTIN:
        return cast(Backend, import_module(BUILTIN[name]))
    for point in _entry_points():
        if point.name == name and name in names():
            try:
                backend = point.load()
            except Exception as error:  # a stranger's code can fail in any way
                raise TclifError(
                    f"backend {name}: {point.value} cannot be loaded ({type(error).__name__}: {error})",
                    "repair or uninstall the package that adds it",
                ) from error
            missing = [function for function in FUNCTIONS if not callable(getattr(backend, function, None))]
            if missing:
                raise TclifError(
                    f"backend {name}: {point.value} has no {', '.join(missing)}", f"see {__name__}.Backend"
                )
            return cast(Backend, backend)
    raise TclifError(f"backend {name!r:.60} is not known", f"known: {', '.join(names())}")


def check_ready(name: str, *, runs: bool) -> None:
    """Raise `TclifError`, with what installs it and what does without, where ``name`` cannot emit here, or cannot run.

    To be called before any work. A backend whose `emit` itself needs a package offers ``check_emit`` too.

    Examples
    --------
    >>> from tclif_deploy import backends
    >>> backends.check_ready("engine", runs=True)
    """
    backend = get(name)
    check = backend.check_installed if runs else getattr(backend, "check_emit", None)
    if check is None:
        return
    try:
        check()
    except TclifError as error:
        hint = error.hint or "see tclif doctor"
        if "--backend" not in hint:
            hint += f"; or do without it: --backend {'engine' if name == 'c' else 'c'}"
        raise TclifError(error.what, hint) from error


def check_readout(name: str, fixed: FixedNetwork) -> None:
    """Raise `TclifError`, which names the rule, where the backend ``name`` does not compute the readout of ``fixed``.

    Every backend computes the usual readout, and those that its ``READOUTS`` names. To be called before its ``emit``.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> from tclif_deploy import backends
    >>> out = tc.Layer("out", tc.neurons.readout(2), (tc.Connection("input", [[1.0], [0.5]]),))
    >>> network = tc.Network(1, (out,)).with_readout("first:1.5")
    >>> fixed = tc.quantize(network, "loihi2", [[[0.0], [1.0], [1.0]]])
    >>> backends.check_readout("c", fixed)
    >>> backends.check_readout("lava", fixed)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    tclif_deploy.errors.TclifError: lava: does not compute the readout first:1.5; it computes last, sum, ...
    """
    rules = tuple(getattr(get(name), "READOUTS", ()))
    if not fixed.usual_readout and fixed.readout.rule not in rules:
        raise TclifError(
            f"{name}: does not compute the readout {fixed.readout}",
            f"it computes {', '.join(rules) or 'last, or count of an output that fires'}; c, onnx and engine all rules",
        )


def check_arithmetic(name: str, fixed: FixedNetwork) -> None:
    """Raise `TclifError`, which names the rule, where the backend ``name`` does not compute the arithmetic of
    ``fixed``.

    Every backend computes the usual one, and the fields of `tclif_deploy.fixed.Arithmetic` that its ``RULES`` names. To
    be called before its ``emit``.

    Examples
    --------
    >>> from dataclasses import replace
    >>> import tclif_deploy as tc
    >>> from tclif_deploy import backends
    >>> out = tc.Layer("out", tc.neurons.readout(2), (tc.Connection("input", [[1.0], [0.5]]),))
    >>> fixed = tc.quantize(tc.Network(1, (out,)), "loihi2", [[[0.0], [1.0], [1.0]]])
    >>> other = replace(fixed, arithmetic=replace(fixed.arithmetic, least_step=True))
    >>> backends.check_arithmetic("engine", other)
    >>> backends.check_arithmetic("c", other)
    Traceback (most recent call last):
        ...
    tclif_deploy.errors.TclifError: c: does not compute the arithmetic's least_step; engine computes all rules
    """
    rules = tuple(getattr(get(name), "RULES", ()))
    missing = [f"{n}{'' if v is True else f' {v}'}" for n, v in fixed.arithmetic.unusual.items() if n not in rules]
    if missing:
        raise TclifError(f"{name}: does not compute the arithmetic's {', '.join(missing)}", "engine computes all rules")


def check_starts(name: str, fixed: FixedNetwork) -> None:
    """Raise `TclifError`, which names the layer, where ``fixed`` says what only backends with ``STARTS`` compute.

    That is a dendrite that does not start at 0, a neuron that fired just before the first step, and a hard reset that
    takes r_u. To be called before the backend's ``emit``.

    Examples
    --------
    >>> from dataclasses import replace
    >>> import tclif_deploy as tc
    >>> from tclif_deploy import backends
    >>> out = tc.Layer("out", tc.neurons.readout(2), (tc.Connection("input", [[1.0], [0.5]]),))
    >>> out = replace(out, neuron=replace(out.neuron, u0=[0.5, 0.0]))
    >>> backends.check_starts("c", tc.quantize(tc.Network(1, (out,)), "loihi2", [[[0.0], [1.0], [1.0]]]))
    """
    if getattr(get(name), "STARTS", False):
        return
    for layer in fixed.layers:
        said = [key for key in LATER_ARRAYS if getattr(layer, key).any()]
        if layer.spiking and layer.reset == "hard" and layer.r_u.any():
            said.append("a hard reset that takes r_u from the dendrite")
        if said:
            raise TclifError(
                f"{name}: layer {layer.name}: does not compute {', '.join(said)}", "all built-in backends do"
            )


def parse(text: str) -> tuple[str, ...]:
    """Names of a comma-separated list, each once; ``all`` is every known one, ``none`` none.

    Raises `TclifError` for an unknown name.

    Examples
    --------
    >>> parse("onnx, c")
    ('onnx', 'c')
    """
    if text in ("", "none"):
        return ()
    asked = names() if text == "all" else tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in asked:
        if name not in names():
            raise TclifError(f"backend {name!r:.60} is not known", f"known: {', '.join(names())}, all, none")
    return asked


def _entry_points() -> Iterable[metadata.EntryPoint]:
    return metadata.entry_points(group=GROUP)
