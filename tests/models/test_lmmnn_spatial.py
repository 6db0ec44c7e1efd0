"""Networks with a spatial effect: against kriging by hand, saved and restored, refused input."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from toolkit import GroupedDataset, fit, load_run
from toolkit.errors import ConfigError, DataError, ToolkitWarning
from toolkit.models import Lmmnn
from toolkit.models.spatial_network import SpatialNetwork
from toolkit.numerics.spatial.kernels import correlation, squared_distances
from toolkit.runs.adapting import adapt

HERE = ("east", "north")
SMALL: dict[str, Any] = {"hidden": (6,), "epochs": 12, "batch": 64}


def study(rows: int = 900, places: int = 60, persons: int = 15, seed: int = 0, letter: str = "p") -> GroupedDataset:
    """Persons at places, levels of both."""
    rng = np.random.default_rng(seed)
    where = rng.uniform(0, 10, (places, 2))
    covariance = 2.0 * correlation("matern32", squared_distances(where, where), 2.0)
    field = np.linalg.cholesky(covariance + 1e-9 * np.eye(places)) @ rng.normal(size=places)
    place, person = rng.integers(0, places, rows), rng.integers(0, persons, rows)
    x = rng.normal(size=rows)
    y = 5.0 + np.sin(2 * x) + field[place] + rng.normal(0, 1.0, persons)[person] + rng.normal(0, 0.5, rows)
    frame = pd.DataFrame(
        {
            "y": y,
            "x": x,
            "east": where[place, 0],
            "north": where[place, 1],
            "person": [f"{letter}{k:02}" for k in person],
        }
    )
    return GroupedDataset.from_frame(frame, target="y", features=["x", *HERE], groups=["person"])


def run_of(data: GroupedDataset, out: Path | None = None, **settings: Any) -> Any:
    """A run whose warnings are not about this."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToolkitWarning)
        return fit(Lmmnn(**{"spatial": HERE, **SMALL, **settings}), data, seed=1, out=out)


@pytest.fixture(scope="module")
def data() -> GroupedDataset:
    return study()


@pytest.fixture(scope="module")
def beside(data):
    return run_of(data, random="(1 | person)", kernel="matern32")


@pytest.fixture(scope="module")
def alone(data):
    return run_of(data, kernel="matern32")


def _training(run: Any, data: GroupedDataset) -> np.ndarray:
    return np.flatnonzero(run.split == "train")


def test_effects_are_the_conditional_means_of_what_the_network_leaves(data, beside):
    network, components = beside.trained.network, beside.variance_components().set_index("term")
    rows, scale = _training(beside, data), beside.trained.network.scaler.target_scale
    chosen = data.take(rows)
    left = np.asarray(chosen.target) - network.predict(chosen, "population")
    variance = components["variance"]
    where = np.asarray(chosen.features)[:, 1:]
    space = variance["location"] * correlation(
        "matern32", squared_distances(where, where), components["range"]["location"]
    )
    people = variance["person"] * (chosen.person[:, None] == chosen.person)
    weighted = np.linalg.solve(space + people + variance["residual"] * np.eye(len(rows)), left)
    np.testing.assert_allclose(network.field_frame(chosen)["estimate"], space @ weighted, atol=2e-3 * scale)
    np.testing.assert_allclose(network.predict(chosen) - network.predict(chosen, "population"),
                               (space + people) @ weighted, atol=2e-3 * scale)  # fmt: skip
    table = beside.random_effects("location")
    assert len(table) == 60
    assert table["level"].str.fullmatch(r"location \d\d").all()


def test_estimates_are_near_the_truth(beside):
    components = beside.variance_components().set_index("term")
    assert list(components.index) == ["person", "location", "residual"]
    assert 0.15 < components["variance"]["residual"] < 0.9
    assert 0.5 < components["variance"]["location"] < 6.0
    assert 0.6 < components["range"]["location"] < 5.0
    assert np.isnan(components["range"]["person"])
    assert not components["at_boundary"].any()


@pytest.mark.parametrize("which", ["beside", "alone", "embedded"])
def test_a_restored_run_predicts_the_same_everywhere(data, which, tmp_path):
    folder = tmp_path / "run"
    settings = {
        "beside": {"random": "(1 | person)", "kernel": "matern32"},
        "alone": {},
        "embedded": {"kernel": "embedded", "embedding": (8, 5), "random": "(1 | person)"},
    }
    run = run_of(data, folder, **{**settings[which], "epochs": 3})
    saved = load_run(folder)
    moved = np.asarray(data.features).copy()
    moved[::3, 1:] += 0.31
    new = replace(data, features=moved)
    for level in ("person", "location", "population"):
        np.testing.assert_allclose(saved.predict(new, level=level), run.trained.network.predict(new, level), atol=1e-9)
    assert "location" in saved.variance_components()["term"].tolist()
    assert saved.random_effects("location")["level"].notna().all()
    if which != "alone":
        assert saved.random_effects("person")["level"].notna().all()
    shown = (folder / "manifest.json").read_text()
    assert not any(str(value) in shown for value in np.asarray(data.features)[:20, 1:].ravel())


def test_many_places_are_saved_and_restored(data, tmp_path, monkeypatch):
    from toolkit.numerics.spatial import estimation

    monkeypatch.setattr(estimation, "EXACT", 40)
    run = run_of(data, tmp_path / "run", epochs=3)
    assert run.trained.network.field.kind == "near"
    saved = load_run(tmp_path / "run")
    np.testing.assert_allclose(saved.predict(data), run.predict(data), atol=1e-9)


def test_places_nobody_has_seen_get_the_field_around_them(data, alone):
    network = alone.trained.network
    assert isinstance(network, SpatialNetwork)
    features = np.asarray(data.features).copy()
    features[:, 1:] += 1e-4
    near = network.field_frame(replace(data, features=features))
    there = network.field_frame(data)
    np.testing.assert_allclose(near["estimate"], there["estimate"], atol=0.02)
    assert not near["location_known"].any()
    features[:, 1:] += 1e4
    far = network.field_frame(replace(data, features=features))
    np.testing.assert_allclose(far["estimate"], 0.0, atol=1e-9)
    scale = alone.variance_components().set_index("term")["sd"]["location"]
    np.testing.assert_allclose(far["sd"], scale, rtol=1e-6)
    frame = network.predict_frame(data)
    assert frame["location_known"].mean() > 0.9


def test_the_network_does_not_see_the_coordinates(data, alone):
    network = alone.trained.network
    assert network.scaler.names == ("x",)
    moved = np.asarray(data.features).copy()
    moved[:, 1:] += 3.0
    np.testing.assert_allclose(
        network.predict(data, "population"), network.predict(replace(data, features=moved), "population")
    )


def test_without_differences_between_places_the_variance_is_zero_and_said_so():
    rng = np.random.default_rng(0)
    where = rng.uniform(0, 10, (40, 2))
    place = np.repeat(np.arange(40), 10)
    noise = rng.normal(size=400)
    noise -= 0.95 * (np.bincount(place, weights=noise) / 10)[place]
    frame = pd.DataFrame({"y": noise, "x": rng.normal(size=400), "east": where[place, 0], "north": where[place, 1],
                          "person": place % 7})  # fmt: skip
    flat = GroupedDataset.from_frame(frame, target="y", features=["x", *HERE], groups=["person"])
    with pytest.warns(ToolkitWarning, match=r"W231.*spatial effect is zero"):
        run = fit(Lmmnn(spatial=HERE, hidden=(), epochs=3, batch=64), flat, seed=1, split=None)
    components = run.variance_components().set_index("term")
    assert components["at_boundary"]["location"]
    np.testing.assert_allclose(run.predict(flat), run.predict(flat, "population"))


@pytest.mark.parametrize(
    ("settings", "column"),
    [
        ({"kernel": "matern32"}, "kernel"),
        ({"embedding": (3,)}, "embedding"),
        ({"spatial": HERE, "embedding": (3,)}, "embedding"),
        ({"spatial": ("east", "east")}, "spatial"),
        ({"spatial": HERE, "task": "binary"}, "spatial"),
        ({"spatial": HERE, "kernel": "embedded", "embedding": ()}, "embedding"),
    ],
)
def test_settings_that_cannot_apply_are_refused(settings, column):
    with pytest.raises(ConfigError, match="E302") as refused:
        Lmmnn(**settings)
    assert refused.value.column == column


def test_coordinates_that_cannot_be_used_are_refused(data):
    with pytest.raises(DataError, match="E405"):
        run_of(data, spatial=("east", "south"))
    same = np.asarray(data.features).copy()
    same[:, 1:] = 4.0
    with pytest.raises(DataError, match=r"E150.*one place"):
        run_of(replace(data, features=same))
    wide = np.asarray(data.features).copy()
    wide[:, 1] *= 1e6
    with pytest.warns(ToolkitWarning, match=r"W240.*same one"):
        fit(Lmmnn(spatial=HERE, hidden=(), epochs=1, batch=64), replace(data, features=wide), seed=1)


def test_new_persons_beside_a_field_are_refused(data, beside):
    with pytest.raises(ConfigError, match="E302"):
        adapt(beside, study(200, seed=5, letter="q"), seed=1)


def test_draws_that_would_ignore_distances_are_refused(beside):
    with pytest.raises(DataError, match="E406"):
        beside.draw_effects(2, rng=np.random.default_rng(0))


def test_intervals_have_the_variance_of_the_field_and_of_the_residual(data, alone, beside):
    found = alone.predict_interval(data)
    variance = alone.variance_components().set_index("term")["variance"]
    expected = np.sqrt(alone.trained.network.field_frame(data)["sd"] ** 2 + variance["residual"])
    np.testing.assert_allclose(found["sd"], expected, rtol=1e-9)
    truth = np.asarray(data.target)
    assert ((found["low"] < truth) & (truth < found["high"])).mean() > 0.9
    with pytest.raises(DataError, match="E406"):
        beside.random_terms()


@pytest.mark.parametrize("rows", [300, 300_000_000])
def test_intervals_beside_a_field_are_the_dense_conditional_variance(beside, data, rows, monkeypatch):
    monkeypatch.setattr("toolkit.numerics.spatial.beside_prediction.PIECE", rows)
    new = study(40, seed=3)  # places nobody has seen, persons of whom one is new
    labels = [name.replace("p03", "p99") for name in np.asarray(new.persons)]
    groupings = (replace(new.groupings[0], levels=tuple(labels)),)
    new = replace(new, groupings=groupings)
    parts = beside.variance_components().set_index("term")
    (person, field, residual), reach = parts["variance"].iloc[[0, 1, -1]], float(parts["range"].dropna().iloc[0])
    fitted = data.take(beside.predictions().set_index("row")["split"].eq("train").to_numpy().nonzero()[0])

    def covariance(one: GroupedDataset, other: GroupedDataset) -> np.ndarray:
        names = [np.asarray(own.persons)[np.asarray(own.person)] for own in (one, other)]
        where = [np.asarray(own.features)[:, 1:] for own in (one, other)]
        values = correlation("matern32", squared_distances(*where), reach)
        return person * (names[0][:, None] == names[1]) + field * values

    variance = covariance(fitted, fitted) + residual * np.eye(fitted.n_rows)
    for asked in (data.take(np.arange(30)), new):
        across = covariance(asked, fitted)
        left = np.diagonal(covariance(asked, asked)) - (across @ np.linalg.solve(variance, across.T)).diagonal()
        found = beside.predict_interval(asked)
        np.testing.assert_allclose(found["effect_sd"], np.sqrt(left), rtol=1e-6)
        np.testing.assert_allclose(found["sd"], np.sqrt(left + residual), rtol=1e-6)
