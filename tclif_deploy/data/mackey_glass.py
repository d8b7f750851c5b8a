"""The Mackey-Glass series, made by its formula: what the series is some steps later, said at every step.

``dx/dt = beta*x(t - tau)/(1 + x(t - tau)^n) - gamma*x(t)`` (M. C. Mackey and L. Glass, Science 197:287, 1977) with beta
0.2, gamma 0.1, n 10 and tau 17, the usual mildly chaotic case (H. Jaeger and H. Haas, Science 304:78, 2004; a task of
NeuroBench too). Each sequence is a series of its own: a constant history drawn from the seed, 1,000 units of time
that are left out, then a value every unit. Steps are of 0.1 by Runge-Kutta of order 4, the delayed value at a half step
being the mean of its neighbours. Sequences are short enough for their chaos not to reach what a machine rounds, and
nothing but sums, products and quotients is computed: a seed makes the same bytes everywhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.data.dataset import Dataset
from tclif_deploy.errors import TclifError

BETA, GAMMA, TAU = 0.2, 0.1, 17.0
STEP = 0.1
"""units of time that one step of integration takes"""
SETTLED = 1000
"""units of time before a sequence begins"""
HORIZON = 6
"""steps from the last input to the value that is asked for"""
LENGTH = 250
"""steps a sequence"""
WARM_UP = 50
"""steps at its beginning that are not judged: a delay and its past must have been seen"""
PARTS = {"train": 256, "test": 64}
"""sequences of each part"""
MIDDLE, STEPS_PER_UNIT = 0.9, 256
"""inputs are int8: the value less ``MIDDLE``, in steps of 1/256; the float network sees four times that value"""
SCALE = 4 / STEPS_PER_UNIT


def mackey_glass(history: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """A series (sequences, ``length``), a value every unit of time, for each constant ``history`` (sequences,).

    Examples
    --------
    >>> mackey_glass(np.array([1.2]), 3).round(4).tolist()
    [[0.9464, 0.9003, 0.8573]]
    """
    delay, unit = round(TAU / STEP), round(1 / STEP)
    steps = (SETTLED + length) * unit
    x = np.empty((delay + 1 + steps, len(history)))
    x[: delay + 1] = history
    for now in range(delay, delay + steps):
        start, end = _production(x[now - delay]), _production(x[now - delay + 1])
        middle = _production((x[now - delay] + x[now - delay + 1]) / 2)
        a = start - GAMMA * x[now]
        b = middle - GAMMA * (x[now] + STEP / 2 * a)
        c = middle - GAMMA * (x[now] + STEP / 2 * b)
        d = end - GAMMA * (x[now] + STEP * c)
        x[now + 1] = x[now] + STEP / 6 * (a + 2 * b + 2 * c + d)
    return np.ascontiguousarray(x[delay + SETTLED * unit :: unit].T[:, :length])


def _production(x: NDArray[np.float64]) -> NDArray[np.float64]:
    square = x * x
    fourth = square * square
    return np.asarray(BETA * x / (1 + fourth * fourth * square))


def load_mackey_glass(part: str = "train", seed: int = 0) -> Dataset:
    """The ``train`` (256 sequences) or ``test`` (64) part: x int8 (sequences, 250, 1), y the series 6 steps later
    (sequences, 250, 1), the first 50 steps of each left out by ``mask``.

    Examples
    --------
    >>> data = load_mackey_glass("test")
    >>> data.x.shape, data.y.shape, data.task, int(data.mask.sum())
    ((64, 250, 1), (64, 250, 1), 'step-value', 12800)
    """
    if part not in PARTS:
        raise TclifError(f"part is {part!r}", f"known: {', '.join(PARTS)}")
    history = np.random.default_rng(seed).uniform(0.5, 1.5, sum(PARTS.values()))
    history = history[: PARTS["train"]] if part == "train" else history[PARTS["train"] :]
    series = mackey_glass(history, LENGTH + HORIZON)
    x = np.clip(np.rint((series[:, :LENGTH] - MIDDLE) * STEPS_PER_UNIT), -127, 127).astype(np.int8)
    mask = np.ones((len(series), LENGTH), np.bool_)
    mask[:, :WARM_UP] = False
    return Dataset(
        x[:, :, None], series[:, HORIZON:, None], SCALE, name=f"Mackey-Glass, {part}", task="step-value", mask=mask
    )
