"""The studentised range and Student's t, from `scipy.special` alone: `scipy.stats` takes over a second to import."""

import numpy as np
from scipy import special

ALMOST_ALL = 1e-14  # what is left out of a distribution at either end
REACH = 9.0  # standard deviations of a normal distribution beyond which there is nothing

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(160)


def t_p(t: float, freedom: float) -> float:
    """The two-sided p of Student's t."""
    return float(2 * special.stdtr(freedom, -abs(t)))


def t_quantile(share: float, freedom: float) -> float:
    """The value of Student's t below which this share lies."""
    return float(special.stdtrit(freedom, share))


def range_p(q: float, count: int, freedom: float) -> float:
    """The chance that the range of `count` normal draws exceeds `q` times an independent estimate of their standard
    deviation with `freedom` degrees of freedom.

    The integral over that estimate, along its logarithm, of the chance for a known standard deviation (Gauss and
    Legendre's rule in both directions).
    """
    shares = np.array([ALMOST_ALL, 1 - ALMOST_ALL])
    low, high = np.log(np.sqrt(2 * special.gammaincinv(freedom / 2, shares) / freedom))
    logs = (high - low) / 2 * _NODES + (high + low) / 2
    half = freedom / 2
    density = np.exp(
        np.log(2) + half * np.log(half) - special.gammaln(half) + freedom * logs - half * np.exp(2 * logs)
    )
    chance = _beyond(q * np.exp(logs), count)
    return float(np.clip((high - low) / 2 * (_WEIGHTS * density) @ chance, 0, 1))


def _beyond(
    widths: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]", count: int
) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    """The chance that the range of `count` standard normal draws exceeds each of `widths`: the lowest draw at z, all
    others within the width above it."""
    z = REACH * _NODES
    normal = np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
    within = special.ndtr(z + widths[:, None]) - special.ndtr(z)
    return 1 - count * REACH * (within ** (count - 1) @ (_WEIGHTS * normal))


def expected_best(count: int) -> float:
    """The expected largest of `count` draws from a standard normal distribution."""
    z = REACH * _NODES
    density = count * np.exp(-z * z / 2) / np.sqrt(2 * np.pi) * special.ndtr(z) ** (count - 1)
    return float(REACH * (_WEIGHTS * z) @ density)
