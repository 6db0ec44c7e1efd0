"""Several models on the same persons: the mean of each with its mark, and its difference from one (NME, Table 3)."""

from __future__ import annotations

from string import ascii_lowercase
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses import wording
from analyses.figures import interval_rows
from analyses.figures.interval_rows import RowsLook
from analyses.figures.labels import listed, number, signed
from analyses.figures.long_labels import shortened
from analyses.model_comparison import LOWER_IS_BETTER, WORDS

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

    from analyses.model_comparison import ModelComparison

MEAN, DIFFERENCE = "Mean per person", "Difference"


def tidy(result: ModelComparison, *, reference: str | None = None) -> pd.DataFrame:
    """Two rows per metric and model, in the schema of ``interval_rows``: the mean, and the paired difference.

    Args:
        result: a finished comparison.
        reference: model that differences are taken from; None: the one every pair was compared with, else the best of
            each metric.

    Returns:
        With the columns metric, model, letter, marks (letters of the models that are clearly better), reference, and
        persons.
    """
    rows = []
    for k, metric in enumerate(result.metrics):
        against = _reference(result, k, reference)
        for m, model in enumerate(result.models):
            shared = {
                "block": _capital(WORDS.get(metric, metric))
                + (" (lower is better)" if metric in LOWER_IS_BETTER else ""),
                "row": f"{ascii_lowercase[m]}  {model}",
                "metric": metric,
                "model": model,
                "letter": ascii_lowercase[m],
                "marks": result.marks[k][m],
                "reference": result.models[against],
                "persons": int(result.n_defined[k, m]),
                "wide_low": np.nan,
                "wide_high": np.nan,
            }
            mean = {
                "value": float(result.means[k, m]),
                "low": float(result.low[k, m]),
                "high": float(result.high[k, m]),
            }
            mark = f"< {', '.join(result.marks[k][m])}" if result.marks[k][m] else ""
            text = f"{number(mean['value'], 3)} {mark}".strip()
            rows.append(shared | mean | {"panel": MEAN, "clear": True, "text": text})
            rows.append(shared | _difference(result, k, m, against) | {"panel": DIFFERENCE})
    return pd.DataFrame(rows)


def _reference(result: ModelComparison, metric: int, asked: str | None) -> int:
    if asked is not None:
        return result.models.index(asked)
    common = set.intersection(*({first, second} for k, first, second in result.pairs if k == metric))
    if len(common) == 1 and len(result.models) > 2:
        return common.pop()
    values = result.means[metric] * (-1 if result.metrics[metric] in LOWER_IS_BETTER else 1)
    return int(np.nanargmax(values)) if np.isfinite(values).any() else 0


def _difference(result: ModelComparison, metric: int, model: int, against: int) -> dict[str, float | bool | str]:
    """Model minus reference with its interval; without one for the reference itself and for pairs not compared."""
    if model == against:
        return {"value": np.nan, "low": np.nan, "high": np.nan, "clear": False, "text": "reference"}
    for (k, first, second), found in zip(result.pairs, result.results, strict=True):
        if k == metric and {first, second} == {model, against}:
            sign = 1 if first == model else -1
            low, high = sorted((sign * found.low, sign * found.high))
            value = sign * found.difference
            return {"value": value, "low": low, "high": high, "clear": bool(low > 0 or high < 0),
                    "text": signed(value, 3)}  # fmt: skip
    return {"value": np.nan, "low": np.nan, "high": np.nan, "clear": False, "text": "not compared"}


def _look(frame: pd.DataFrame) -> RowsLook:
    names = list(dict.fromkeys(frame["reference"])) if len(frame) else []
    against = names[0] if len(names) == 1 else "the best model"
    return RowsLook(
        x_titles={
            MEAN: "Mean over persons (< b: clearly worse than b)",
            DIFFERENCE: f"Model minus {shortened(against, 40)}, same persons",
        },
        lines={DIFFERENCE: 0.0},
        narrow_words="95% interval",
        open_words="difference not clear: its interval holds 0",
    )


def screen(frame: pd.DataFrame) -> go.Figure:
    """Per metric the means and, beside them, the paired differences; ``< b``: clearly worse than model b."""
    return interval_rows.screen(frame, _look(frame))


def print_figure(frame: pd.DataFrame, *, width_mm: float = 183.0) -> Figure:
    """The same for print."""
    return interval_rows.print_figure(frame, _look(frame), width_mm=width_mm)


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence per metric with the best model and what it clearly beats."""
    if frame.empty:
        return "No models to compare."
    said = []
    for metric, part in frame[frame["panel"] == MEAN].groupby("metric", sort=False):
        known = part.dropna(subset=["value"])
        if known.empty:
            said.append(f"{_capital(WORDS.get(str(metric), str(metric)))} is not defined for anybody")
            continue
        values = known["value"].to_numpy(dtype=float) * (-1 if metric in LOWER_IS_BETTER else 1)
        best = known.iloc[int(values.argmax())]
        beaten = [
            shortened(m, 60) for m, marks in zip(part["model"], part["marks"], strict=True) if best["letter"] in marks
        ]
        worse = f"clearly better than {listed(beaten[:6])}" if beaten else "not clearly better than any other"
        said.append(
            f"{_capital(WORDS.get(str(metric), str(metric)))}: best is {shortened(best['model'], 60)} with "
            f"{number(best['value'], 3)} {wording.ci_text(number(best['low'], 3), number(best['high'], 3))}, {worse}"
        )
    models = frame["model"].nunique()
    return f"{models} models compared on the same {int(frame['persons'].max())} persons. {'. '.join(said)}."


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
