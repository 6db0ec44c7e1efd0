"""What the benchmarks of new persons share: folds of whole persons, models fitted on the others, scores kept."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from analyses.adaptation import AdaptationCurve, adaptation_curve
from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ToolkitWarning
from toolkit.runs.adaptation_scores import Candidate, adaptation_scores

RESULTS = Path(__file__).parents[1] / "results"


def folds_of_persons(data: GroupedDataset, folds: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Person codes of each fold."""
    return np.array_split(rng.permutation(np.unique(np.asarray(data.person))), folds)


def scored(candidate: Candidate, data: GroupedDataset, **options: Any) -> pd.DataFrame:
    """Scores of one model, see `adaptation_scores`; its warnings (few rows, a busy gate) are not repeated here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToolkitWarning)
        return adaptation_scores([candidate], data, **options)


def curve(scores: pd.DataFrame, metric: str, design: str, seed: int = 1) -> AdaptationCurve:
    """The curve of one metric with its paired bootstrap over persons."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToolkitWarning)
        return adaptation_curve(scores, metric, design=design, rng=np.random.default_rng(seed))


def shown(found: AdaptationCurve) -> str:
    """The means as a table: models in rows, shares in columns."""
    frame = found.to_frame()
    wide = frame.pivot_table(index=["target", "model"], columns="share", values="value", sort=False)
    return wide.round(3).to_string()


def differences(found: AdaptationCurve, model: str, other: str) -> pd.DataFrame:
    """``model`` minus ``other`` at every share with its interval, from the paired bootstrap."""
    rows: list[dict[str, Any]] = []
    for point in found.points:
        if point.comparison is None or not {model, other} <= set(point.models):
            continue
        first, second = point.models.index(model), point.models.index(other)
        for (_, a, b), result in zip(point.comparison.pairs, point.comparison.results, strict=True):
            if {a, b} == {first, second}:
                sign = 1.0 if a == first else -1.0
                ends = sorted([sign * result.low, sign * result.high])
                rows.append(
                    {"target": point.target, "share": point.share, "difference": sign * result.difference}
                    | {"low": ends[0], "high": ends[1], "persons": result.n}
                )
    return pd.DataFrame(rows)


def keep(name: str, settings: dict[str, Any], tables: dict[str, Any]) -> Path:
    """Write settings and tables to ``benchmarks/results/NAME.json``."""
    path = RESULTS / f"{name}.json"
    about = {"torch": str(torch.__version__), "threads": torch.get_num_threads()}
    path.write_text(json.dumps({"settings": settings | about, **tables}, indent=1) + "\n", encoding="utf-8")
    return path
