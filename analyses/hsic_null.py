"""The null distribution of the HSIC test: drawn permutations, all of them, drawn until enough, or a gamma curve."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from analyses.resampling import distinct_assignments, permutation_blocks, permutation_pvalue
from toolkit.errors import ConfigError

BLOCK_CELLS = 400_000
# From here on the products are taken in float32; values close to the observed one are taken again in float64.
SINGLE_PRECISION_FROM = 1_500
RECHECK_BAND = 1e-3
TRIANGLE_WIDTH = 512
ENUMERATION_CELLS = 50_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Null:
    """What a null distribution says: its values, the p-value, the interval of p, and how it was found."""

    values: np.ndarray
    pvalue: float
    low: float
    high: float
    method: str


def quadratic_form(
    gram: Float[np.ndarray, "u u"], codes: np.ndarray, factor: Float[np.ndarray, "m r"]
) -> Float[np.ndarray, " p"]:
    """``sum_ij gram_ij (F F')_{c(i), c(j)}`` for every row c of codes: one matrix product for all of them."""
    total = np.zeros(codes.shape[0])
    for column in factor.T:
        scores = column[codes]
        total += _symmetric_form(gram, scores) if gram.shape[0] > TRIANGLE_WIDTH else _form(scores, gram, scores)
    return total


def _form(left: np.ndarray, gram: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.einsum("pu,pu->p", left @ gram, right)


def _symmetric_form(gram: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The same from the lower triangle only, in strips: little more than half of the products."""
    total = np.zeros(scores.shape[0])
    for start in range(0, gram.shape[0], TRIANGLE_WIDTH):
        strip = slice(start, start + TRIANGLE_WIDTH)
        total += _form(scores[:, strip], gram[strip, strip], scores[:, strip])
        if start:
            total += 2 * _form(scores[:, :start], gram[:start, strip], scores[:, strip])
    return total


def block_values(gram: np.ndarray, factor: np.ndarray, blocks: Iterator[np.ndarray], observed: float) -> Iterator:
    """The statistic (times n) of every block of labels; in doubt about a tie always in float64."""
    if gram.shape[0] < SINGLE_PRECISION_FROM:
        yield from (quadratic_form(gram, block, factor) for block in blocks)
        return
    coarse, coarse_factor = gram.astype(np.float32), factor.astype(np.float32)
    for block in blocks:
        values = quadratic_form(coarse, block, coarse_factor)
        close = np.flatnonzero(np.abs(values - observed) <= RECHECK_BAND * abs(observed))
        if close.size:
            values[close] = quadratic_form(gram, block[close], factor)
        yield values


def permuted(
    gram: np.ndarray,
    codes: np.ndarray,
    factor: np.ndarray,
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
    codes = codes.astype(np.int8 if factor.shape[0] < 128 else np.int32)
    rows = max(256 if codes.size >= SINGLE_PRECISION_FROM else 1, BLOCK_CELLS // codes.size)
    rows = rows if stop_after is None else min(rows, max(64, 2 * stop_after))
    drawn, met = [], 0
    blocks = permutation_blocks(codes, stratum, permutations, rng, rows)
    for values in block_values(gram, factor, blocks, observed):
        drawn.append(values)
        if stop_after is not None:
            hits = np.flatnonzero(values >= observed - slack)
            if met + hits.size >= stop_after:
                drawn[-1] = values[: hits[stop_after - met - 1] + 1]
                return _stopped(np.concatenate(drawn), stop_after)
            met += hits.size
    null = np.concatenate(drawn)
    pvalue, low, high = permutation_pvalue(observed, null, slack)
    return Null(values=null, pvalue=pvalue, low=low, high=high, method="permutation")


def _stopped(null: np.ndarray, met: int) -> Null:
    """P = h / l, with the exact interval of a negative binomial count."""
    from scipy.stats import beta

    drawn = null.size
    low = float(beta.ppf(0.025, met, drawn - met + 1))
    high = float(beta.ppf(0.975, met, drawn - met)) if drawn > met else 1.0
    return Null(values=null, pvalue=met / drawn, low=low, high=high, method="stopped")


def enumerated(
    gram: np.ndarray,
    codes: np.ndarray,
    factor: np.ndarray,
    stratum: np.ndarray | None,
    observed: float,
    slack: float,
) -> Null:
    """Every distinct way to deal the labels once: p is the share with a statistic at least as large, without error.

    Raises:
        ConfigError: E302 when there are too many ways.
    """
    limit = ENUMERATION_CELLS // codes.size
    if distinct_assignments(codes, stratum, limit) > limit:
        raise ConfigError(
            "there are too many ways to deal the labels for an exact p",
            code="E302",
            column="method",
            remedy='Use method="permutation"',
        )
    blocks = all_assignments(codes, stratum, max(1, BLOCK_CELLS // codes.size))
    null = np.concatenate(list(block_values(gram, factor, blocks, observed)))
    pvalue = float(np.mean(null >= observed - slack))
    return Null(values=null, pvalue=pvalue, low=pvalue, high=pvalue, method="exact")


def all_assignments(codes: np.ndarray, stratum: np.ndarray | None, block_rows: int) -> Iterator[np.ndarray]:
    """All distinct arrangements of the labels (within strata), in blocks of rows."""
    layers = np.zeros(codes.size, dtype=np.int64) if stratum is None else stratum
    places = [np.flatnonzero(layers == layer) for layer in np.unique(layers)]
    pieces = [_arrangements(codes[place]) for place in places]
    shape = tuple(len(piece) for piece in pieces)
    total = int(np.prod(shape, dtype=np.int64))
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
    chosen = np.array(list(itertools.combinations(range(values.size), count)))
    free = np.ones((len(chosen), values.size), dtype=bool)
    np.put_along_axis(free, chosen, False, axis=1)
    rest = _arrangements(values[values != label])
    out = np.full((len(chosen), len(rest), values.size), label, dtype=values.dtype)
    where = np.nonzero(free)[1].reshape(len(chosen), -1)
    for row, place in enumerate(where):
        out[row][:, place] = rest
    return out.reshape(-1, values.size)


def gamma_null(k: Float[np.ndarray, "n n"], m: Float[np.ndarray, "n n"], statistic: float) -> Null:
    """The gamma curve of dHSIC with the first two moments of n x dHSIC under independence; rough in the tail.

    Args:
        k: uncentred Gram matrix of x. m: the same of the group.
        statistic: n x dHSIC.
    """
    from scipy.stats import gamma

    n = len(k)
    a, b, c = (np.array(v) for v in zip(*(_moments(g) for g in (k, m)), strict=True))
    diagonal = np.array([np.diag(g).mean() for g in (k, m)])
    mean = float(np.prod(diagonal - a)) / n
    spread = float(np.prod(b - 2 * c + a**2))
    factor = 2 * (n - 4) * (n - 5) / (n * (n - 1) * (n - 2) * (n - 3))
    variance = factor * spread
    if not (mean > 0 and variance > 0):
        return Null(values=np.zeros(0), pvalue=1.0, low=1.0, high=1.0, method="gamma")
    pvalue = float(gamma.sf(statistic, mean**2 / variance, scale=n * variance / mean))
    return Null(values=np.zeros(0), pvalue=pvalue, low=pvalue, high=pvalue, method="gamma")


def _moments(gram: np.ndarray) -> tuple[float, float, float]:
    return float(gram.mean()), float((gram**2).mean()), float((gram.mean(axis=1) ** 2).mean())
