"""The panic patients (openESM 0017, CC BY 4.0; see LICENCE.md): zeros that are no ratings become empty cells."""

from __future__ import annotations

import pandas as pd

from toolkit.data.columns import require_columns

RATINGS = (
    "positive_feeling",
    "negative_feeling",
    "positive_energy",
    "negative_energy",
    "anxiety",
    "annoying",
)
WORN = ("steps_mean", "steps_maximum", "sleep_duration")
DEFINITION = (
    "Days on which all six ratings are zero count as unanswered; zeros of steps and sleep count as a wearable not worn."
)


def rated_frame(raw: pd.DataFrame) -> pd.DataFrame:
    """The days of the file, with empty cells where a zero is no measurement.

    Raises:
        DataError: E103 if a column is missing.
    """
    require_columns(raw, {"data": [*RATINGS, *WORN]})
    frame = raw.copy()
    unanswered = (frame[list(RATINGS)] == 0).all(axis=1)
    frame[list(RATINGS)] = frame[list(RATINGS)].astype("float64").mask(unanswered)
    frame[list(WORN)] = frame[list(WORN)].astype("float64").mask(frame[list(WORN)] == 0)
    return frame
