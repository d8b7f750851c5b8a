"""Targets: what a machine can hold, as data. One TOML file each, every number with unit, source and evidence."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import Arithmetic, Overflow, Rounding

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")


class Limit(BaseModel, Generic[T]):
    """One number of a target, and where it comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: T
    unit: str
    source: str = Field(min_length=1)
    evidence: Literal["vendor", "paper", "secondary", "assumed"]


class WeightBits(Limit[int]):
    value: int = Field(ge=2, le=16)


class StateBits(Limit[int]):
    value: int = Field(ge=4, le=32)


class CoefficientBits(Limit[int]):
    value: int = Field(ge=1, le=24)


class Steps(Limit[int]):
    value: int = Field(ge=1)


class Target(BaseModel):
    """A machine's arithmetic and limits.

    Examples
    --------
    >>> load_target("loihi2").state_bits.value
    24
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    backend: str = "lava"
    weight_bits: WeightBits
    """signed weights: +-(2^(bits-1)-1)"""
    state_bits: StateBits
    """width of u and of v, sign included"""
    coefficient_bits: CoefficientBits
    """fractional bits k of A, B and Q"""
    rounding: Limit[Rounding]
    overflow_u: Limit[Overflow]
    overflow_v: Limit[Overflow]
    threshold_bits: StateBits
    """signed width of the threshold"""
    reset_bits: StateBits
    """signed width of r_u, r_v, v_reset"""
    bias_bits: StateBits
    """signed width of the biases and of v0"""
    input_bits: StateBits
    """signed width of a graded input value"""
    per_neuron_parameters: Limit[bool]
    """whether threshold, resets and bias may differ between the neurons of a layer"""
    max_delay: Steps
    """longest delay of a connection"""

    @property
    def arithmetic(self) -> Arithmetic:
        """The machine's arithmetic for a `FixedNetwork`."""
        return Arithmetic(
            frac_bits=self.coefficient_bits.value,
            rounding=self.rounding.value,
            bits_u=self.state_bits.value,
            bits_v=self.state_bits.value,
            overflow_u=self.overflow_u.value,
            overflow_v=self.overflow_v.value,
        )

    def limits(self) -> dict[str, Limit[Any]]:
        """Every limit by name, in file order."""
        return {name: value for name in type(self).model_fields if isinstance(value := getattr(self, name), Limit)}

    def override(self, **values: Any) -> Target:
        """This target with some numbers changed by hand (``None`` changes nothing); evidence becomes ``assumed``.

        ``state_bits`` moves threshold, resets and bias with it. Raises `TclifError` for an impossible number.
        """
        changed = {key: value for key, value in values.items() if value is not None}
        if "state_bits" in changed:
            for name in ("threshold_bits", "reset_bits", "bias_bits"):
                changed.setdefault(name, changed["state_bits"])
        data = self.model_dump()
        for key, value in changed.items():
            data[key] |= {"value": value, "source": "given on the command line or by the caller", "evidence": "assumed"}
        return _validate(data, f"target {self.name} with {', '.join(f'{k}={v}' for k, v in changed.items())}")


def targets_folder() -> Path:
    """Where the shipped target files are: inside the installed package, or beside it in a checkout."""
    inside = Path(__file__).parent / "targets"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "targets"


def known_targets() -> tuple[str, ...]:
    """Names of the shipped targets, sorted."""
    return tuple(sorted(path.stem for path in targets_folder().glob("*.toml")))


def load_target(target: str | Path) -> Target:
    """Read a shipped target by name, or any ``.toml`` by path.

    Raises `TclifError` for an unknown name (with the nearest known one) and for a file that is not a target.
    """
    path = Path(target)
    if path.suffix != ".toml":
        if str(target) not in known_targets():
            near = difflib.get_close_matches(str(target).lower(), known_targets(), 1, 0.4)
            suggestion = f"did you mean {near[0]}? " if near else ""
            raise TclifError(
                f"target {str(target)!r} is not known",
                f"{suggestion}known: {', '.join(known_targets())}, or give a file ending in .toml",
            )
        path = targets_folder() / f"{target}.toml"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        hint = f"known targets: {', '.join(known_targets())}"
        raise TclifError(f"{path}: cannot be read ({error.strerror})", hint) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TclifError(f"{path}: not a TOML file ({error})", "see targets/loihi2.toml for the form") from None
    return _validate(data, str(path))


def _validate(data: dict[str, Any], where: str) -> Target:
    try:
        return Target.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        message = first["msg"]
        if first["type"] == "extra_forbidden":
            known = list(Target.model_fields) if len(first["loc"]) == 1 else list(Limit.model_fields)
            near = difflib.get_close_matches(str(first["loc"][-1]), known, 1, 0.4)
            message = "unknown key" + (f", did you mean {near[0]}?" if near else f", known: {', '.join(known)}")
        got = "" if first["type"] in ("missing", "extra_forbidden") else f" (got {first['input']!r})"
        raise TclifError(f"{where}: {key}: {message}{got}", "see targets/loihi2.toml for the form") from None
