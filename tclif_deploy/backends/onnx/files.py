"""``step.onnx``, ``sequence.onnx`` and ``trace.onnx`` on disk, and their run in onnxruntime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy import extras, json_form
from tclif_deploy.backends import check_arithmetic
from tclif_deploy.errors import TclifError, reason_of
from tclif_deploy.fixed import FixedNetwork, InputEncoding, Int
from tclif_deploy.outputs import write_files
from tclif_deploy.progress import Progress, no_progress
from tclif_deploy.readout import Readout, Rule
from tclif_deploy.simulation.result import Result, check_integers, check_lengths, check_readout_steps
from tclif_deploy.target import Target

STEP, SEQUENCE, TRACE = "step.onnx", "sequence.onnx", "trace.onnx"
INSTEAD = "choose another, as --backend c"
OLDEST_RUNTIME = (1, 19)
"""1.18.1 gives wrong states in Scan, unless its reuse of memory is switched off; 1.19.2 to 1.31.1 were right"""
BATCH = 256
"""samples a call: bounds the memory that spikes take"""


def check_installed() -> None:
    """Raise `TclifError` where onnx or onnxruntime is missing, or too old."""
    extras.need("the ONNX backend", INSTEAD, "onnx", "onnxruntime")
    import onnxruntime

    version = onnxruntime.__version__
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_RUNTIME:
        raise TclifError(
            f"onnxruntime {version} reuses memory too early and gives wrong states",
            f"pip install --upgrade onnxruntime, or {INSTEAD}",
        )


def check_emit() -> None:
    """Raise `TclifError` where what `emit` needs is missing: onnx alone."""
    extras.need("the ONNX backend", INSTEAD, "onnx")


def emit(fixed: FixedNetwork, target: Target | None, folder: Path) -> None:
    """Write the three models into ``folder`` (made where missing).

    Raises `TclifError` where onnx is missing, and where a value would need more than 64 bits.
    """
    check_emit()
    check_arithmetic("onnx", fixed)
    from tclif_deploy.backends.onnx.model import ModelLayout, sequence_model, step_model

    layout = ModelLayout(fixed)
    models = {
        STEP: step_model(layout),
        SEQUENCE: sequence_model(layout, trace=False),
        TRACE: sequence_model(layout, trace=True),
    }
    write_files(folder, {name: model.SerializeToString(deterministic=True) for name, model in models.items()})


def session(path: Path, threads: int | None = None) -> Any:
    """An onnxruntime session on ``path``, on the CPU. Raises `TclifError` for a file that it refuses."""
    check_installed()
    import onnxruntime

    if not path.is_file():
        raise TclifError(f"{path}: file not found", "compile with --backend onnx, or name the folder that emit wrote")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a dozen exception types and no common base of its own
        raise TclifError(
            f"{path}: onnxruntime {onnxruntime.__version__} refuses it ({' '.join(str(error).split())})",
            "the file is damaged or not ours: compile again",
        ) from error


def run(
    folder: Path,
    x: Int,
    *,
    lengths: Int | None = None,
    batched: bool = False,
    progress: Progress = no_progress,
    threads: int | None = None,
) -> Result:
    """Run input integers ``x`` (samples, time, features) on ``threads`` (default: one a core).

    Spikes and overflow counts are what ``trace.onnx`` says, all else what ``sequence.onnx`` says. Raises `TclifError`.
    """
    models = [session(Path(folder) / name, threads) for name in (TRACE, SEQUENCE)]
    x = _check_input(models[0], np.asarray(x))
    samples, time, _ = x.shape
    lengths = check_lengths(lengths, samples, time)
    if "readout" in models[0].get_modelmeta().custom_metadata_map:  # another than the usual one
        readout = _metadata(models[0], "readout", _Readout)
        check_readout_steps(Readout(readout.rule), time, readout.most_steps)
    results = []
    for start in range(0, samples, BATCH):
        batch = slice(start, start + BATCH)
        feeds = {"x": x[batch].astype(np.int32), "lengths": lengths[batch]}
        result: dict[str, NDArray[Any]] = {}
        for model in models:
            names = [output.name for output in model.get_outputs()]
            try:
                result |= dict(zip(names, model.run(names, feeds), strict=True))
            except Exception as error:  # onnxruntime's own, which have no common base
                raise TclifError(f"{folder}: onnxruntime fails ({reason_of(error)})", "compile again") from error
        results.append(result)
        progress(min(start + BATCH, samples), samples)
    joined = {
        name: np.sum([result[name] for result in results], axis=0) if name.startswith("overflows_")
        else np.concatenate([result[name] for result in results])
        for name in results[0]
    }  # fmt: skip
    return _result(models[0], joined)


def _check_input(model: Any, x: NDArray[Any]) -> Int:
    return check_integers(_metadata(model, "input", InputEncoding), x)


def _metadata(model: Any, key: str, form: Any) -> Any:
    """What a model says of itself under ``key``."""
    text = dict(model.get_modelmeta().custom_metadata_map).get(key, "")
    return json_form.parse(form, text, f"onnx: the model's metadata {key!r}", "compile with --backend onnx")


@dataclass(frozen=True)
class _Readout:
    rule: Rule
    most_steps: int | None


@dataclass(frozen=True)
class _Layer:
    name: str
    tensor: str


def _result(model: Any, values: dict[str, NDArray[Any]]) -> Result:
    """The model's outputs under the layers' own names."""
    layers = _metadata(model, "layers", tuple[_Layer, ...])

    def by_layer(prefix: str) -> dict[str, NDArray[Any]]:
        return {
            layer.name: values[f"{prefix}_{layer.tensor}"] for layer in layers if f"{prefix}_{layer.tensor}" in values
        }  # fmt: skip

    return Result(
        spikes={name: s.astype(np.bool_) for name, s in by_layer("spikes").items()},
        u={name: u.astype(np.int64) for name, u in by_layer("u").items()},
        v={name: v.astype(np.int64) for name, v in by_layer("v").items()},
        readout=values["readout"],
        classes=values["classes"],
        overflows=by_layer("overflows"),
        decided=values.get("decided"),
    )
