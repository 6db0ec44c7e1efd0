"""Parts of a comparison of models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from analyses.model_comparison import ModelComparison
from toolkit.results import read_only


def of_metric(found: ModelComparison, metric: str) -> ModelComparison:
    """The part of a comparison that is about one metric.

    Raises:
        ValueError: for a metric that was not compared.
    """
    k = found.metrics.index(metric)
    mine = [place for place, pair in enumerate(found.pairs) if pair[0] == k]
    return replace(
        found,
        metrics=(metric,),
        means=read_only(found.means[[k]]),
        low=read_only(found.low[[k]]),
        high=read_only(found.high[[k]]),
        n_defined=read_only(found.n_defined[[k]], dtype=np.int64),
        pairs=tuple((0, *found.pairs[place][1:]) for place in mine),
        results=tuple(found.results[place] for place in mine),
        pvalue_holm=read_only(found.pvalue_holm[mine]),
        marks=(found.marks[k],),
    )
