"""The null distribution of the HSIC test: drawn permutations, all of them, drawn until enough, or a gamma curve."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from analyses.hsic_form import Form
from analyses.resampling import distinct_assignments, permutation_blocks, permutation_pvalue
from toolkit.errors import ConfigError

BLOCK_CELLS = 200_000
FEWEST_ROWS = 1_000
MOST_ASSIGNMENTS = 2_000_000
GAMMA_FROM = 6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Null:
    """What a null distribution says: its values (times n), p and its interval, and how it was found."""

    values: np.ndarray
    pvalue: float
    low: float
    high: float
    method: str


def permuted(
    form: Form,
    codes: np.ndarray,
    stratum: np.ndarray | None,
    observed: float,
    slack: float,
    *,
    permutations: int,
    rng: np.random.Generator,
    stop_after: int | None = None,
) -> Null:
    """Random permutations: p = (b + 1) / (B + 1); with `stop_after` h, p = h / l once the h-th one as large is met.

    Source of the early stop: Besag & Clifford (1991), Biometrika 78, 301-304.
    """
    codes = codes.astype(np.float32 if form.binary else np.int32)
    rows = max(FEWEST_ROWS, BLOCK_CELLS // codes.size)
    rows = rows if stop_after is None else min(rows, max(64, 4 * stop_after))
    null, met, done = np.empty(permutations), 0, 0
    for block in permutation_blocks(codes, stratum, permutations, rng, rows):
        values = form.values(block, observed)
        null[done : done + values.size] = values
        if stop_after is not None:
            hits = np.flatnonzero(values >= observed - slack)
            if met + hits.size >= stop_after:
                return _stopped(null[: done + int(hits[stop_after - met - 1]) + 1], stop_after)
            met += hits.size
        done += values.size
    pvalue, low, high = permutation_pvalue(observed, null, slack)
    return Null(values=null, pvalue=pvalue, low=low, high=high, method="permutation")


def _stopped(null: np.ndarray, met: int) -> Null:
    """P = h / l, with the exact interval of a negative binomial count."""
    from scipy.special import betaincinv

    drawn = null.size
    low = float(betaincinv(met, drawn - met + 1, 0.025))
    high = float(betaincinv(met, drawn - met, 0.975)) if drawn > met else 1.0
    return Null(values=null, pvalue=met / drawn, low=low, high=high, method="early stop")


def enumerated(form: Form, codes: np.ndarray, stratum: np.ndarray | None, observed: float, slack: float) -> Null:
    """Every distinct way to deal the labels once: p is the share with a statistic at least as large, without error.

    Raises:
        ConfigError: E302 when there are too many ways.
    """
    if distinct_assignments(codes, stratum, MOST_ASSIGNMENTS) > MOST_ASSIGNMENTS:
        raise ConfigError(
            f"there are more than {MOST_ASSIGNMENTS:,} ways to deal the labels, too many for an exact p",
            code="E302",
            column="method",
            remedy='Use method="permutation"',
        )
    codes = codes.astype(np.int16)
    blocks = all_assignments(codes, stratum, max(1, BLOCK_CELLS // codes.size))
    null = np.concatenate([form.exact(block) for block in blocks])
    pvalue = float(np.mean(null >= observed - slack))
    return Null(values=null, pvalue=pvalue, low=pvalue, high=pvalue, method="exact")


def all_assignments(codes: np.ndarray, stratum: np.ndarray | None, block_rows: int) -> Iterator[np.ndarray]:
    """All distinct arrangements of the labels (within strata), in blocks of rows."""
    layers = np.zeros(codes.size, dtype=np.int64) if stratum is None else stratum
    places = [np.flatnonzero(layers == layer) for layer in np.unique(layers)]
    pieces = [_arrangements(codes[place]) for place in places]
    shape = tuple(len(piece) for piece in pieces)
    total = math.prod(shape)
    for start in range(0, total, block_rows):
        index = _digits(np.arange(start, min(start + block_rows, total)), shape)
        block = np.empty((len(index[0]), codes.size), dtype=codes.dtype)
        for place, piece, chosen in zip(places, pieces, index, strict=True):
            block[:, place] = piece[chosen]
        yield block


def _digits(numbers: np.ndarray, shape: tuple[int, ...]) -> list[np.ndarray]:
    """Mixed-radix digits; numpy's unravel_index stops at 64 strata."""
    found = []
    for size in shape:
        numbers, digit = np.divmod(numbers, size)
        found.append(digit)
    return found


def _arrangements(values: np.ndarray) -> np.ndarray:
    """Distinct orders of a multiset, shape (orders, size): place the first label, then arrange the rest."""
    label, count = values.min(), int(np.sum(values == values.min()))
    if count == values.size:
        return values[None, :]
    ways = math.comb(values.size, count)
    drawn = itertools.chain.from_iterable(itertools.combinations(range(values.size), count))
    chosen = np.fromiter(drawn, dtype=np.intp, count=ways * count).reshape(ways, count)
    others = _arrangements(values[values != label])
    out = np.full((ways, len(others), values.size), label, dtype=values.dtype)
    free = np.ones((ways, values.size), dtype=bool)
    np.put_along_axis(free, chosen, False, axis=1)
    where = np.nonzero(free)[1].reshape(ways, 1, -1)
    np.put_along_axis(out, np.broadcast_to(where, (ways, *others.shape)), others[None], axis=2)
    return out.reshape(-1, values.size)


def gamma_null(k: Float[np.ndarray, "n n"], m: Float[np.ndarray, "n n"], statistic: float) -> Null:
    """The gamma curve of dHSIC with the first two moments of n x dHSIC under independence; rough in the tail.

    Args:
        k: uncentred Gram matrix of x.
        m: the same of the group.
        statistic: n x dHSIC.

    Raises:
        ConfigError: E302 below six rows, where the variance is not defined.
    """
    from scipy.special import gammaincc

    n = len(k)
    if n < GAMMA_FROM:
        raise ConfigError("the gamma approximation needs six rows", code="E302", column="method", remedy="Use exact")
    a, b, c = (np.array(v) for v in zip(*(_moments(g) for g in (k, m)), strict=True))
    diagonal = np.array([np.diag(g).mean() for g in (k, m)])
    mean = float(np.prod(diagonal - a)) / n
    factor = 2 * (n - 4) * (n - 5) / (n * (n - 1) * (n - 2) * (n - 3))
    variance = factor * float(np.prod(b - 2 * c + a**2))
    nothing = np.zeros(0)
    # The curve is one of n x dHSIC; without variance in x it has shrunk to zero, which every sample reaches.
    if not (mean > 1e-14 and variance > 1e-28):
        return Null(values=nothing, pvalue=1.0, low=1.0, high=1.0, method="gamma")
    pvalue = float(gammaincc(mean**2 / variance, statistic * mean / (n * variance)))
    return Null(values=nothing, pvalue=pvalue, low=pvalue, high=pvalue, method="gamma")


def _moments(gram: np.ndarray) -> tuple[float, float, float]:
    return float(gram.mean()), float((gram**2).mean()), float((gram.mean(axis=1) ** 2).mean())
