"""The bundled study: its published numbers, its states and predictors against plain loops, and no leakage."""

from __future__ import annotations

import hashlib
import statistics

import numpy as np
import pandas as pd
import pytest

from toolkit.data.demo import FOLDER, STUDY_FILES, demo_study
from toolkit.data.demo.emotions import DATA_FILE, ITEMS, STATES, VARIANTS, demo_frame, emotion_frame, predictors
from toolkit.data.readers import read_table
from toolkit.data.study import Study
from toolkit.errors import ConfigError

BEFORE = [f"{name}_before" for name in (*ITEMS, *STATES)]


@pytest.fixture(scope="module")
def raw() -> pd.DataFrame:
    return read_table(DATA_FILE, text_columns=("id",))


def test_the_file_is_as_received() -> None:
    digest = hashlib.sha256(DATA_FILE.read_bytes()).hexdigest()
    assert digest == "528d2a1f645a4c3dba1982f1f5dfdfee27520a2b5e28030924c513857167c2a5"
    assert "CC BY 4.0" in (FOLDER / "LICENCE.md").read_text()


@pytest.mark.parametrize(
    ("variant", "counts"),
    [
        ("absolute", {0: [1713, 820, 1191, 2694], 1: [715, 488, 531, 550]}),
        ("person_centred", {0: [1804, 823, 1190, 2601], 1: [602, 374, 446, 862]}),
    ],
)
def test_published_counts_and_base_rates(variant: str, counts: dict[int, list[int]]) -> None:
    frame = demo_frame(variant)
    assert len(frame) == 8702
    assert frame.groupby("person").depressed.first().value_counts().to_dict() == {0: 74, 1: 26}
    table = pd.crosstab(frame.depressed, frame.state)[list(STATES)]
    assert {group: table.loc[group].tolist() for group in (0, 1)} == counts


@pytest.mark.parametrize("variant", VARIANTS)
def test_states_of_a_plain_loop(raw: pd.DataFrame, variant: str) -> None:
    kept = raw[raw.id.isin(["105", "106", "110"])].dropna(subset=["happy"]).reset_index(drop=True)
    frame = emotion_frame(kept, variant=variant)
    for row in range(0, len(kept), 5):
        z = {}
        for item in ITEMS:
            pool = kept[item] if variant == "absolute" else kept[item][kept.id == kept.id[row]]
            z[item] = (kept[item][row] - statistics.mean(pool)) / statistics.stdev(pool)
        score = {
            "positive": (z["happy"] + z["relaxed"]) / 2,
            "aggressive": z["anger"],
            "dysphoric": (z["sad"] + z["stress"]) / 2,
        }
        best = max(score, key=lambda name: score[name])
        assert frame.state[row] == (best if score[best] > 0.25 else "other")


def test_predictors_of_a_plain_loop(raw: pd.DataFrame) -> None:
    kept = raw[raw.id.isin(["105", "119"])]
    shuffled = kept.sample(frac=1, random_state=1)
    frame = emotion_frame(shuffled, variant="absolute")
    pd.testing.assert_frame_equal(frame, emotion_frame(kept, variant="absolute"))
    answered = {(r.id, r.beep): r for r in kept.dropna(subset=["happy"]).itertuples()}
    state = {(r.person, r.prompt): r.state for r in frame.itertuples()}
    assert set(answered) == set(state)
    for row in frame.to_dict("records"):
        own = answered[row["person"], row["prompt"]]
        earlier = [
            beep for (person, beep), r in answered.items() if person == own.id and r.day == own.day and beep < own.beep
        ]
        assert row["position_in_day"] == own.beep_new
        assert row["first_of_day"] == (not earlier)
        assert row["gap"] == (own.beep - max(earlier) if earlier else 0)
        for item in ITEMS:
            previous = getattr(answered[own.id, max(earlier)], item) if earlier else 50
            assert row[f"{item}_before"] == (previous - 50) / 50
        for name in STATES:
            assert row[f"{name}_before"] == (bool(earlier) and state[own.id, max(earlier)] == name)


def test_what_happens_at_a_prompt_is_not_among_its_own_predictors() -> None:
    rng = np.random.default_rng(4)
    items, state = rng.uniform(0, 100, (30, 5)), rng.integers(0, 4, 30)
    person, day = np.repeat([0, 1], 15), np.tile(np.repeat([1, 2, 3], 5), 2)
    prompt = np.arange(30) * 2
    before = predictors(items, state, person, day, prompt)
    for row in range(30):
        changed_items, changed_state = items.copy(), state.copy()
        changed_items[row] = 100 - items[row]
        changed_state[row] = (state[row] + 1) % 4
        after = predictors(changed_items, changed_state, person, day, prompt)
        differs = (before != after).any(axis=1).to_numpy()
        next_of_day = row + 1 < 30 and day[row + 1] == day[row]
        assert np.flatnonzero(differs).tolist() == ([row + 1] if next_of_day else [])


def test_a_person_who_never_varies_is_always_in_state_other() -> None:
    flat = pd.DataFrame({item: [10.0, 10.0, 10.0, 10.0, 90.0, 20.0] for item in ITEMS})
    flat = flat.assign(id=list("aaaabb"), beep=[1, 2, 3, 4, 1, 2], beep_new=1, day=1, depressed_cesd16=0)
    assert (emotion_frame(flat, variant="person_centred").state[:4] == "other").all()


def test_both_study_files_work_and_agree_with_the_code() -> None:
    for variant, path in STUDY_FILES.items():
        study = demo_study(variant)
        assert study.states == STATES
        assert study.features == Study.read(path).features
        assert [name for name in study.features if name in BEFORE] == BEFORE
        batch, data = study.sequences(), study.grouped(target="happy")
        assert batch.state_names == STATES
        assert batch.data.n_rows == data.n_rows == 8702
        assert batch.n_sequences == demo_frame(variant).groupby(["person", "day"]).ngroups
        assert (batch.data.features == data.features).all()
        assert data.persons[0] == "P001"
        assert data.n_persons == 100
        assert sorted(data.person_group) == ["0"] * 74 + ["1"] * 26
        assert data.pseudonymous
        assert not data.is_classification
        assert "other" not in data.feature_names


def test_reading_the_bundled_study_writes_nothing() -> None:
    before = {path: path.stat().st_mtime_ns for path in FOLDER.iterdir() if path.name != "__pycache__"}
    first, second = demo_study().frame(), demo_study("person_centred").frame()
    assert before == {path: path.stat().st_mtime_ns for path in FOLDER.iterdir() if path.name != "__pycache__"}
    assert first.person.tolist() == second.person.tolist()


def test_another_variant_is_refused() -> None:
    with pytest.raises(ConfigError, match="E302"):
        demo_study("relative")
    with pytest.raises(ConfigError, match="E302"):
        demo_frame("relative")
