"""Bundled studies: they are what their licence page says, can be used as they lie there; the simulated truth holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.shared_data import shared_file
from toolkit.cli.answers import plain_errors
from toolkit.cli.main import app
from toolkit.data import simulate
from toolkit.data.demo import BUNDLED, FOLDER, bundled_study, copy_study
from toolkit.data.demo.dyads import EFFECT, MEANS, STATES
from toolkit.data.study import Study
from toolkit.data.study_checks import check_study
from toolkit.errors import ConfigError, DataError

SOURCES = {"panic": "jang2024_panic_daily.csv", "valence-arousal": "bailon2020_valence_arousal.csv"}


@pytest.mark.parametrize("name", BUNDLED)
@pytest.mark.filterwarnings("ignore::toolkit.errors.ToolkitWarning")
def test_every_study_can_be_used_and_says_where_it_is_from(name: str) -> None:
    study = bundled_study(name)
    assert study.citation
    assert study.licence == "CC BY 4.0"
    assert (BUNDLED[name].parent / "LICENCE.md").exists()
    assert not check_study(study).findings.faults
    numeric = next(target for target in study.targets if target != study.state)
    assert study.grouped(numeric).n_rows > 1000


@pytest.mark.parametrize(("name", "source"), SOURCES.items())
def test_no_value_was_altered(name: str, source: str) -> None:
    raw = pd.read_csv(shared_file(source))
    shipped = pd.read_parquet(bundled_study(name).data_file)
    others = [column for column in shipped.columns if column != "id"]
    pd.testing.assert_frame_equal(shipped[others], raw[others], check_dtype=False)
    np.testing.assert_array_equal(pd.factorize(shipped["id"])[0], pd.factorize(raw["id"])[0])
    assert not set(shipped["id"]) & set(raw["id"].astype(str))


def test_zeros_that_are_no_ratings_are_empty() -> None:
    frame = bundled_study("panic").frame()
    assert frame["anxiety"].notna().sum() == 3143
    assert (frame["sleep_duration"] == 0).sum() == 0


def test_bundled_files_stay_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.rglob("*.parquet")) < 600_000


def test_copies_are_studies_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plain_errors(lambda: app(["example", "dyads", "--out", str(tmp_path / "d")], standalone_mode=False)) == 0
    capsys.readouterr()
    study = Study.read(tmp_path / "d" / "study.toml")
    batch = study.sequences()
    assert batch.data.n_persons == 195
    assert len(set(batch.data.person_cluster)) == 98
    assert batch.data.n_rows == 15_228
    with pytest.raises(DataError, match="E306"):
        copy_study("panic", tmp_path / "d")
    with pytest.raises(ConfigError, match="E302"):
        copy_study("nothing", tmp_path / "e")
    assert Study.read(copy_study("panic", tmp_path / "p")).grouped is not None


def counts(frame: pd.DataFrame) -> np.ndarray:
    codes = pd.Categorical(frame["state"], STATES).codes
    same = frame["person"].to_numpy()[1:] == frame["person"].to_numpy()[:-1]
    found = np.zeros((4, 4))
    np.add.at(found, (codes[:-1][same], codes[1:][same]), 1)
    return found


def test_simulated_states_are_coded_by_onset_and_differ_by_group_in_the_known_cells() -> None:
    frame, truth = simulate.dyads(rng=np.random.default_rng(1), segments=120_000)
    groups = [counts(frame[frame["depressed"] == group]) for group in (0, 1)]
    assert all((np.diag(group) == 0).all() for group in groups)
    shares = [group / group.sum(axis=1, keepdims=True) for group in groups]
    for (start, end), value in EFFECT.items():
        difference = (shares[1] - shares[0])[STATES.index(start), STATES.index(end)]
        assert np.sign(difference) == np.sign(value)
        assert abs(difference) > 0.05
    expected = np.mean(truth.probabilities[truth.group == 1], axis=0)
    np.testing.assert_allclose(shares[1], expected, atol=0.03)


def test_families_correlate_as_said() -> None:
    _, truth = simulate.dyads(rng=np.random.default_rng(2), persons=4000, families=2000, segments=90_000)
    off = ~np.eye(4, dtype=bool)
    scores = truth.scores[:, off] - truth.group[:, None] * truth.effect[off]
    first = np.flatnonzero(np.diff(truth.family) == 0)
    pairs = [np.corrcoef(scores[first, k], scores[first + 1, k])[0, 1] for k in range(12)]
    assert np.mean(pairs) == pytest.approx(0.4, abs=0.03)
    assert scores.std(axis=0).mean() == pytest.approx(0.5, abs=0.02)
    together = pd.DataFrame({"family": truth.family, "group": truth.group}).groupby("family")["group"].nunique()
    assert (together == 1).all()


def test_features_tell_the_state_and_seeds_repeat() -> None:
    frame, _ = simulate.dyads(rng=np.random.default_rng(3))
    again, _ = simulate.dyads(rng=np.random.default_rng(3))
    pd.testing.assert_frame_equal(frame, again)
    assert (frame["person"].nunique(), frame["family"].nunique(), len(frame)) == (195, 98, 15_228)
    means = frame.groupby("state")[["loudness", "pitch", "smile", "gaze"]].mean().loc[list(STATES)]
    np.testing.assert_allclose(means, MEANS, atol=0.06)
    null, truth = simulate.dyads(rng=np.random.default_rng(3), effect=0.0)
    assert (truth.effect == 0).all()
    assert len(null) == len(frame)
