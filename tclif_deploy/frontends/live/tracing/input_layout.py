"""How a model cuts its example into the steps that its first layer sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tclif_deploy.data.windows import sliding_windows
from tclif_deploy.network import Float


@dataclass(frozen=True)
class InputLayout:
    """How an example is cut into steps."""

    time_first: bool
    window: int | None = None

    def steps(self, x: Float) -> Float:
        """The example as (samples, time, features of a step)."""
        x = x.swapaxes(0, 1) if self.time_first else x
        x = x.reshape(*x.shape[:2], -1)
        return x if self.window is None else sliding_windows(x, self.window)

    def notice(self) -> str | None:
        """A notice, where the data must be prepared."""
        if self.window is None:
            return None
        return (
            f"each step sees a window of {self.window} values that slides by one: give data of shape "
            f"(samples, time, {self.window}), as tclif_deploy.sliding_windows(x, {self.window}) makes it"
        )


def input_layouts(x: Float, features: int) -> list[InputLayout]:
    """Cuts of ``x`` that give steps of so many features."""
    layouts = [InputLayout(first) for first in (False, True) if int(np.prod(x.shape[2:])) == features]
    if x.ndim == 3 and x.shape[2] == 1 and features > 1:
        layouts += [InputLayout(first, features) for first in (False, True) if x.shape[0 if first else 1] >= features]
    return layouts
