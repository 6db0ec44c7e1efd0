"""Ordered classes and counts of simulated persons, for the tests of these tasks."""

from __future__ import annotations

import numpy as np
import pandas as pd

CUTS = np.array([-1.5, 0.2, 2.0])
SLOPES = np.array([1.2, -0.6])
INTERCEPT_SD = 0.8


def outcomes(persons: int = 30, rows: int = 20, seed: int = 0) -> pd.DataFrame:
    """Predictors a and b, a person's intercept ``u``, the ordered class ``y``, the count ``n`` during ``minutes``."""
    rng = np.random.default_rng(seed)
    code = np.repeat(np.arange(persons), rows)
    frame = pd.DataFrame(rng.standard_normal((persons * rows, 2)), columns=["a", "b"])
    u = INTERCEPT_SD * rng.standard_normal(persons)[code]
    latent = frame[["a", "b"]].to_numpy() @ SLOPES + u
    minutes = rng.uniform(0.5, 3.0, len(code))
    return frame.assign(
        u=u,
        y=np.digitize(latent + rng.logistic(size=len(code)), CUTS),
        n=rng.poisson(np.exp(0.4 + 0.5 * latent) * minutes).astype(float),
        minutes=minutes,
        person=[f"p{c:02d}" for c in code],
        t=np.tile(np.arange(rows), persons),
    )
