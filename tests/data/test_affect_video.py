"""Simulated video: shapes, known truth, slow expressions, and features of which few have to do with affect."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.data.simulate.affect_video import TARGETS, affect_video

SMALL = {"persons": 5, "seconds": 40.0, "frames_per_second": 10, "features": 60, "relevant": 12, "expressions": 3}


def drawn(seed: int = 0, **settings):
    return affect_video(**(SMALL | settings), rng=np.random.default_rng(seed))


@pytest.fixture(scope="module")
def video():
    return drawn()


def test_one_row_a_frame(video):
    data = video.data
    assert (data.n_rows, data.n_features, data.n_persons) == (5 * 400, 60, 5)
    assert data.target_names == TARGETS == ("valence", "arousal")
    assert (np.bincount(np.asarray(data.person)) == 400).all()
    assert data.pseudonymous
    own = np.asarray(data.time)[np.asarray(data.person) == 3]
    np.testing.assert_allclose(np.diff(own), 0.1)
    assert (video.heads.shape, video.common.shape, video.levels.shape) == ((5, 2, 3), (2, 3), (5, 2))
    with pytest.raises(ValueError, match="read-only"):
        video.heads[0] = 0.0


def test_a_seed_is_a_study(video):
    assert drawn(0).data.content_hash() == video.data.content_hash()
    assert drawn(1).data.content_hash() != video.data.content_hash()


def test_frames_next_to_each_other_are_alike():
    """Half is forgotten within one to three seconds: little from frame to frame, nearly all in a minute."""
    long = drawn(persons=3, seconds=400.0)
    for place in range(2):
        ratings = np.asarray(long.data.targets)[np.asarray(long.data.person) == 0, place]
        correlation = {lag: np.corrcoef(ratings[:-lag], ratings[lag:])[0, 1] for lag in (1, 10, 600)}
        assert correlation[1] > 0.75
        assert 0.2 < correlation[10] < correlation[1]
        assert abs(correlation[600]) < 0.3


def test_persons_are_rated_about_their_levels(video):
    long = drawn(persons=4, seconds=600.0)
    person = np.asarray(long.data.person)
    for code in range(4):
        found = np.asarray(long.data.targets)[person == code].mean(axis=0)
        np.testing.assert_allclose(found, long.levels[code], atol=0.45)


def test_heads_differ_about_the_common_one_by_what_was_asked():
    many = affect_video(
        persons=400, seconds=1.0, frames_per_second=2, features=2, relevant=2, expressions=6, difference=0.7,
        rng=np.random.default_rng(3),
    )  # fmt: skip
    spread = (many.heads - many.common).std()
    assert spread == pytest.approx(0.7 / np.sqrt(6), rel=0.05)
    none = drawn(difference=0.0)
    np.testing.assert_allclose(none.heads, np.broadcast_to(none.common, none.heads.shape))


def explained(video, *, own: bool) -> float:
    """Share of the later ratings' variance that a ridge regression on earlier frames explains."""
    data = video.data
    person, time = np.asarray(data.person), np.asarray(data.time)
    x, y = np.asarray(data.features), np.asarray(data.targets)
    left = total = 0.0
    early = time < np.median(time)
    for rows in [person == code for code in range(data.n_persons)] if own else [np.ones(len(x), dtype=bool)]:
        centre = np.array([x[early & (person == code)].mean(axis=0) for code in range(data.n_persons)])[person]
        level = np.array([y[early & (person == code)].mean(axis=0) for code in range(data.n_persons)])[person]
        train, test = rows & early, rows & ~early
        design = x - centre
        weights = np.linalg.solve(
            design[train].T @ design[train] + 20 * np.eye(x.shape[1]), design[train].T @ (y - level)[train]
        )
        left += (((y - level) - design @ weights)[test] ** 2).sum()
        total += ((y - level)[test] ** 2).sum()
    return 1.0 - left / total


def test_a_head_of_ones_own_says_more_than_the_common_one():
    different, same = drawn(seconds=120.0, difference=1.0), drawn(seconds=120.0, difference=0.0)
    assert explained(different, own=True) > 0.6
    assert explained(different, own=True) > explained(different, own=False) + 0.15
    assert explained(same, own=False) > 0.6


def test_few_features_move_with_the_expressions():
    data = drawn(features=200, relevant=5, expressions=1, persons=2, seconds=300.0, difference=0.0).data
    mine = np.asarray(data.person) == 0
    features, rating = np.asarray(data.features)[mine], np.asarray(data.target)[mine]
    strength = np.sort(np.abs([np.corrcoef(column, rating)[0, 1] for column in features.T]))
    assert strength[-3] > 0.3
    assert np.median(strength) < 0.5 * strength[-3]


def test_persons_look_different():
    data = drawn().data
    person, features = np.asarray(data.person), np.asarray(data.features)
    looks = np.array([features[person == code].mean(axis=0) for code in range(5)])
    gaps = np.linalg.norm(looks[:, None] - looks[None], axis=2)
    assert gaps[~np.eye(5, dtype=bool)].min() > 4.0


def test_the_published_size_is_the_default():
    import inspect

    default = {name: value.default for name, value in inspect.signature(affect_video).parameters.items()}
    assert (default["persons"], default["seconds"], default["frames_per_second"]) == (18, 300.0, 25)
    assert default["features"] == 2048
