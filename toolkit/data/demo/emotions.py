"""Affective states and their predictors, made from the raw prompts of the bundled study.

Items are z-scored over all answered prompts (variant ``absolute``: of all persons; ``person_centred``: within each
person), with the sample standard deviation (n - 1, as R's ``scale``); a standard deviation of zero gives z = 0. Then
positive = mean(happy, relaxed), aggressive = anger, dysphoric = mean(sad, stress), and the state is the largest of the
three if it exceeds 0.25, else *other*. These rules were fixed before any model was fitted.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from toolkit.data.columns import require_columns
from toolkit.data.constructing import z_scores
from toolkit.data.labels import label_codes
from toolkit.data.readers import read_table
from toolkit.errors import ConfigError

VARIANTS = ("absolute", "person_centred")
ITEMS = ("happy", "relaxed", "sad", "anger", "stress")
STATES = ("other", "aggressive", "dysphoric", "positive")
THRESHOLD = 0.25
SCALE_MIDDLE = 50.0  # items run from 0 to 100
DATA_FILE = Path(__file__).parent / "dejonckheere2019_esm.csv"


def require_variant(variant: str) -> None:
    """Refuse a variant that is not known (E302)."""
    if variant not in VARIANTS:
        known = " and ".join(f"'{name}'" for name in VARIANTS)
        raise ConfigError(
            f"there is no variant '{variant}'", code="E302", column="variant", remedy=f"Known are {known}"
        )


def definition(variant: str) -> str:
    """The rule of the states in one sentence, for reports."""
    over = "all answered prompts" if variant == "absolute" else "the answered prompts of each person"
    return (
        "state is the largest of positive (mean of happy and relaxed), aggressive (anger) and dysphoric (mean of sad "
        f"and stress), from z-scores over {over}, if it exceeds {THRESHOLD:g}, otherwise other."
    )


def demo_frame(variant: str = "absolute") -> pd.DataFrame:
    """The answered prompts of the bundled study under the public file's study numbers; see :func:`emotion_frame`."""
    return emotion_frame(read_table(DATA_FILE, text_columns=("id",)), variant=variant)


def emotion_frame(raw: pd.DataFrame, *, variant: str) -> pd.DataFrame:
    """One row per answered prompt: state, mood and the predictors known before the prompt.

    Args:
        raw: columns id, beep (1, 2, ... over the record), day, beep_new (1 to 7 in a day), the items, depressed_cesd16.
        variant: "absolute" or "person_centred".

    Returns:
        person, day, prompt, state, happy, the predictors of :func:`predictors`, depressed ("0" or "1" as numbers).

    Raises:
        DataError: E103 if a column is missing.
        ConfigError: E302 for another variant.
    """
    require_variant(variant)
    require_columns(raw, {"data": ["id", "beep", "day", "beep_new", *ITEMS, "depressed_cesd16"]})
    answered = raw.dropna(subset=list(ITEMS)).sort_values(["id", "beep"], kind="stable").reset_index(drop=True)
    person, _, _ = label_codes(answered["id"], kind="person")
    items = answered[list(ITEMS)].to_numpy(dtype=np.float64)
    state = affective_states(items, person if variant == "person_centred" else np.zeros_like(person))
    frame = pd.DataFrame(
        {
            "person": answered["id"],
            "day": answered["day"],
            "prompt": answered["beep"],
            "state": np.array(STATES)[state],
            "happy": answered["happy"],
        }
    )
    known_before = predictors(items, state, person, answered["day"].to_numpy(), answered["beep"].to_numpy())
    known_before.insert(len(ITEMS) + len(STATES), "position_in_day", answered["beep_new"].to_numpy(dtype=np.float64))
    return pd.concat([frame, known_before], axis=1).assign(depressed=answered["depressed_cesd16"])


def affective_states(items: Float[np.ndarray, "rows 5"], within: Int[np.ndarray, " rows"]) -> Int[np.ndarray, " rows"]:
    """State code (position in ``STATES``) of each prompt.

    Args:
        items: happy, relaxed, sad, anger, stress in raw units, shape (rows, 5).
        within: code of the rows to be standardised together (one code for all, or the person), shape (rows,).
    """
    happy, relaxed, sad, anger, stress = z_scores(items, within).T
    scores = np.column_stack([anger, (sad + stress) / 2, (happy + relaxed) / 2])  # in the order of STATES after other
    return np.where(scores.max(axis=1) > THRESHOLD, scores.argmax(axis=1) + 1, 0)


def predictors(
    items: Float[np.ndarray, "rows 5"],
    state: Int[np.ndarray, " rows"],
    person: Int[np.ndarray, " rows"],
    day: np.ndarray,
    prompt: np.ndarray,
) -> pd.DataFrame:
    """What was known before each prompt, from the previous answered prompt of the same person and day.

    Columns: ``<item>_before`` as (item - 50) / 50, ``<state>_before`` as 0/1, ``gap`` in prompts since then (1 = none
    skipped), ``first_of_day`` 1 where there was no answered prompt that day yet; then all the others are 0.

    Args:
        items: raw items, shape (rows, 5); rows stand in the order of person and prompt.
        state: state codes, shape (rows,).
        person: person codes, shape (rows,).
        day: day of the record, shape (rows,).
        prompt: number of the prompt over the record, shape (rows,).
    """
    has_previous = np.zeros(len(state), dtype=bool)
    has_previous[1:] = (np.diff(person) == 0) & (np.diff(day) == 0)
    before = np.maximum(np.arange(len(state)) - 1, 0)
    columns = {
        f"{item}_before": np.where(has_previous, (items[before, k] - SCALE_MIDDLE) / SCALE_MIDDLE, 0.0)
        for k, item in enumerate(ITEMS)
    }
    columns |= {f"{name}_before": (has_previous & (state[before] == k)) * 1.0 for k, name in enumerate(STATES)}
    columns["gap"] = np.where(has_previous, prompt - prompt[before], 0).astype(np.float64)
    columns["first_of_day"] = (~has_previous) * 1.0
    return pd.DataFrame(columns)
