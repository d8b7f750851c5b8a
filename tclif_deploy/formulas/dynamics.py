"""One TC-LIF step as a linear map: its Jacobian, the paper's (Eq. 13-15) and its norm, rotation, determinant.

A step is two shears, A (soma to dendrite) then B (dendrite to soma)::

    A = [[1, beta1], [0, 1]]      B = [[1, 0], [beta2, 1]]      states (dendrite, soma)

so the step's Jacobian is B @ A, of determinant 1: below threshold nothing decays, states rotate. The 16 norms of the
paper's Table 7 belong to another matrix, B @ A @ B = [[1 + b, beta1], [beta2*(2 + b), 1 + b]] with b = beta1*beta2:
the derivatives with respect to U[t-1] taken through U_S[t-1] = ... + beta2*U_D[t-1] as well. And what the table calls
the infinite norm is the second row's absolute sum, the soma's; where |beta1| is large the first row's is larger.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.errors import TclifError

Matrix = NDArray[np.float64]


def step_jacobian(
    beta1: float, beta2: float, *, gamma: float = 0.0, threshold: float = 0.0, surrogate: float = 0.0
) -> Matrix:
    """d(dendrite, soma)[t] / d(dendrite, soma)[t-1], states after the reset, (2, 2).

    ``surrogate`` is the spike's (surrogate) derivative at this step; 0 is the motion below threshold.

    Examples
    --------
    >>> from tclif_deploy.formulas import step_jacobian
    >>> step_jacobian(-0.5, 0.5).tolist()
    [[1.0, -0.5], [0.5, 0.75]]
    """
    reset = np.array([[1.0, -gamma * surrogate], [0.0, 1.0 - threshold * surrogate]])
    return np.asarray(reset @ np.array([[1.0, beta1], [beta2, 1.0 + beta1 * beta2]]), dtype=np.float64)


def paper_jacobian(beta1: float, beta2: float) -> Matrix:
    """The matrix whose second row gives the paper's Table 7, (2, 2); see the module's first lines."""
    b = beta1 * beta2
    return np.array([[1.0 + b, beta1], [beta2 * (2.0 + b), 1.0 + b]])


def row_norms(matrix: Matrix) -> NDArray[np.float64]:
    """Absolute sums of the rows; the largest is the infinite norm."""
    return np.asarray(np.abs(matrix).sum(axis=1), dtype=np.float64)


def table7_norm(beta1: float, beta2: float) -> float:
    """What the paper's Table 7 lists as norm: the soma's row of `paper_jacobian`.

    Examples
    --------
    >>> from tclif_deploy.formulas import table7_norm
    >>> round(table7_norm(-0.8, 0.4), 3)
    1.352
    """
    return float(row_norms(paper_jacobian(beta1, beta2))[1])


def determinant(matrix: Matrix) -> float:
    """Determinant; 1 where a step neither grows nor decays areas of the state plane."""
    return float(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0])


def rotation_frequency(beta1: float, beta2: float, otherwise: float | None = None) -> float:
    """Angle in radians by which the states turn each step below threshold: cos w = 1 + beta1*beta2/2.

    Where the map does not rotate (beta1*beta2 outside [-4, 0]) it is ``otherwise``, or `TclifError` is raised.

    Examples
    --------
    >>> import math
    >>> from tclif_deploy.formulas import rotation_frequency
    >>> round(2 * math.pi / rotation_frequency(-0.5, 0.5), 2)  # steps a turn
    12.43
    """
    cosine = 1.0 + beta1 * beta2 / 2.0
    if -1.0 <= cosine <= 1.0:
        return math.acos(cosine)
    if otherwise is None:
        raise TclifError(f"beta1*beta2 is {beta1 * beta2:g}", "states rotate where it lies in [-4, 0]")
    return otherwise
