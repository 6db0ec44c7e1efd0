"""Likelihood-ratio tests of what varies: every effect left out in turn.

A variance of zero lies at the edge of what is possible, so that twice the difference of the log-likelihoods is not
chi-squared: without a variance and its c covariances it is the even mixture of chi-squared variables with c and c + 1
degrees of freedom (Self and Liang, 1987; Stram and Lee, 1994). The plain p-value, up to twice as large, stands beside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.stats import chi2

from toolkit.numerics.mixed.design import Design, Factor
from toolkit.numerics.mixed.maximise import maximise
from toolkit.numerics.mixed.moments import moments


def term_tests(
    design: Design, names: Sequence[tuple[str, Sequence[str]]], deviance: float, *, reml: bool
) -> pd.DataFrame:
    """One row for every effect that can be left out: each slope, and the level of a factor that has nothing else.

    Args:
        design: what was fitted.
        names: of each factor, and of its effects (the level is the one that ends in ``bias``).
        deviance: at its maximum, in the units of the design.
        reml: whether the likelihood is the restricted one.

    Returns:
        Columns term, parameter, deviance (without the effect), chi2, df, pvalue, pvalue_plain.
    """
    rows = []
    for place, (factor, (term, effects)) in enumerate(zip(design.factors, names, strict=True)):
        for effect, name in enumerate(effects):
            if name.endswith("bias") and len(effects) > 1:
                continue
            without = _without(design, place, effect)
            found = without_effects(without, reml=reml) if not without.factors else _deviance(without, reml=reml)
            covariances = _block_of(factor, effect) - 1
            difference = max(found - deviance, 0.0)
            rows.append(
                {
                    "term": term,
                    "parameter": name,
                    "deviance": found,
                    "chi2": difference,
                    "df": covariances + 1,
                    "pvalue": mixture_pvalue(difference, covariances),
                    "pvalue_plain": float(chi2.sf(difference, covariances + 1)),
                }
            )
    return pd.DataFrame(rows).astype({"term": "string", "parameter": "string"})


def mixture_pvalue(difference: float, covariances: int) -> float:
    """Chance of a larger difference if the variance is zero: even mixture of ``covariances`` and one more degree."""
    if difference <= 0:
        return 1.0
    fewer = float(chi2.sf(difference, covariances)) if covariances else 0.0
    return 0.5 * fewer + 0.5 * float(chi2.sf(difference, covariances + 1))


def without_effects(design: Design, *, reml: bool) -> float:
    """Deviance of ordinary least squares: nothing varies."""
    solution, *_ = np.linalg.lstsq(design.fixed, design.outcome, rcond=None)
    squares = float(np.square(design.outcome - design.fixed @ solution).sum())
    degrees = len(design.outcome) - (design.fixed.shape[1] if reml else 0)
    found = degrees * (1.0 + math.log(2.0 * math.pi * squares / degrees))
    return found + float(np.linalg.slogdet(design.fixed.T @ design.fixed)[1]) if reml else found


def _deviance(design: Design, *, reml: bool) -> float:
    return maximise(moments(design), reml=reml).solution.deviance


def _block_of(factor: Factor, effect: int) -> int:
    """Size of the block of effects that one belongs to."""
    ends = np.cumsum(factor.blocks)
    return factor.blocks[int(np.searchsorted(ends, effect, side="right"))]


def _without(design: Design, place: int, effect: int) -> Design:
    """The design without one effect of one factor, or without the factor."""
    factor = design.factors[place]
    factors = list(design.factors)
    if factor.size == 1:
        del factors[place]
        return replace(design, factors=tuple(factors))
    ends = np.cumsum(factor.blocks)
    block = int(np.searchsorted(ends, effect, side="right"))
    blocks = [size - (number == block) for number, size in enumerate(factor.blocks)]
    factors[place] = replace(
        factor, design=np.delete(factor.design, effect, axis=1), blocks=tuple(size for size in blocks if size)
    )
    return replace(design, factors=tuple(factors))
