"""Very many effects a person: variances kept in the place of covariances, against the fit that keeps them whole."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from toolkit import fit, load_run
from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ConfigError, DataError, RunFolderError
from toolkit.models import NmeCrf, NmeMlp, starting
from toolkit.runs.adapting import adapt


def people(persons: int = 8, rows: int = 24, seed: int = 1) -> pd.DataFrame:
    """A curved outcome, and persons who differ in level and in one slope."""
    rng = np.random.default_rng(seed)
    code = np.repeat(np.arange(persons), rows)
    x = rng.standard_normal((persons * rows, 3))
    own = rng.normal(0, 0.8, (persons, 2))
    y = np.sin(2 * x[:, 0]) + own[code, 0] + own[code, 1] * x[:, 1] + rng.normal(0, 0.4, len(code))
    frame = pd.DataFrame(x, columns=["a", "b", "c"]).assign(person=[f"p{k}" for k in code], y=y)
    return frame.assign(
        time=np.tile(np.arange(rows), persons), kind=np.where(y > 0.5, "up", np.where(y < -0.5, "down", "so"))
    )


def dataset(frame: pd.DataFrame, target: str = "y") -> GroupedDataset:
    return GroupedDataset.from_frame(frame, target=target, features=["a", "b", "c"], groups="person", time="time")


def config(**settings: object) -> NmeMlp:
    given = {"hidden": (4, 3), "effects": "all", "epochs": 30, "lr": 0.02, "precision": "float64"}
    return NmeMlp(**{**given, **settings})


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every fit of the test is one of very many effects."""
    monkeypatch.setattr(starting, "MOST_NUMBERS", 10)


CASES = [
    {},
    {"batch": 64},
    {"variance_update": "paper"},
    {"variance_update": "paper_annealed"},
    {"task": "multiclass"},
]


@pytest.mark.parametrize(
    "settings",
    [case if case == {"variance_update": "paper"} else pytest.param(case, marks=pytest.mark.slow) for case in CASES],
    ids=lambda case: "-".join(map(str, case.values())) or "em",
)
def test_nothing_but_correlations_is_lost(settings, monkeypatch):
    data = dataset(people(), "kind" if "task" in settings else "y")
    whole = fit(config(**settings), data, seed=3, device="cpu")
    monkeypatch.setattr(starting, "MOST_NUMBERS", 10)
    wide = fit(config(**settings), data, seed=3, device="cpu")
    assert wide.trained.network.effects.covariance.dim() == 1
    for name in ("random_effects", "variance_components", "predictions", "metrics"):
        pd.testing.assert_frame_equal(wide.tables[name], whole.tables[name], rtol=1e-5, atol=1e-7)
    assert "variances without correlations" in wide.manifest["status"]["posterior"]


@pytest.mark.slow
def test_deeper_effects_end_where_their_variances_stand_still():
    """A variance is the sum of squared effects over the persons' worth of what is known of them (MacKay, 1992)."""
    run = fit(config(effects="first", epochs=60), dataset(people(persons=30)), seed=3, device="cpu")
    found = run.random_effects().groupby("parameter")
    worth = found["reliability"].sum()
    squares = found["estimate"].apply(lambda values: np.square(values).sum())
    variances = run.variance_components().set_index("parameter")["variance"][worth.index]
    told = worth > 3  # of a dozen weights some say nothing, and stay where they were
    assert told.any()
    np.testing.assert_allclose(variances[told], (squares / worth)[told], rtol=0.05)


@pytest.mark.slow
@pytest.mark.usefixtures("small_limit")
def test_a_chain_with_effects_everywhere(monkeypatch):
    data = dataset(people(), "kind")
    settings = NmeCrf(hidden=(3,), effects="all+T", epochs=10, lr=0.02, precision="float64")
    wide = fit(settings, data, seed=3, device="cpu")
    monkeypatch.setattr(starting, "MOST_NUMBERS", 10**9)
    whole = fit(settings, data, seed=3, device="cpu")
    for name in ("random_effects", "variance_components", "transitions"):
        pd.testing.assert_frame_equal(wide.tables[name], whole.tables[name], rtol=1e-5, atol=1e-7)
    with pytest.raises(DataError, match="only the variances are kept"):
        wide.expected_transitions(data, rng=np.random.default_rng(1))


@pytest.mark.slow
@pytest.mark.usefixtures("small_limit")
def test_a_run_folder_predicts_and_adapts_as_the_run_did(tmp_path):
    frame = people()
    run = fit(config(), dataset(frame), seed=3, device="cpu", out=tmp_path / "run")
    saved = load_run(tmp_path / "run")
    mine, theirs = run.predict(dataset(frame)), saved.predict(dataset(frame))
    np.testing.assert_allclose(mine, theirs, rtol=1e-10)
    stranger = people(seed=9).query("person == 'p0'").assign(person="new")
    adapted = adapt(run, dataset(stranger), seed=1)
    effects = adapted.random_effects()
    prior = run.variance_components().set_index("parameter")["sd"]
    assert (effects["sd"] <= effects["parameter"].map(prior) * (1 + 1e-9)).all()
    assert (effects["sd"] < 0.95 * effects["parameter"].map(prior)).any()
    error = adapted.predict(dataset(stranger)) - stranger["y"].to_numpy()
    without = run.predict(dataset(stranger), level="population") - stranger["y"].to_numpy()
    assert np.square(error).mean() < np.square(without).mean()
    with pytest.raises(RunFolderError, match="keeps only the variances"):
        saved.posterior()


@pytest.mark.slow
@pytest.mark.usefixtures("small_limit")
def test_what_needs_correlations_says_so():
    run = fit(config(epochs=3), dataset(people()), seed=3, device="cpu")
    for ask in (run.correlations, lambda: run.draw_effects(2, rng=np.random.default_rng(1))):
        with pytest.raises(DataError, match="only the variances are kept"):
            ask()
    for refused in ({"covariance": "full"}, {"hidden": ()}):
        with pytest.raises(ConfigError, match="E302"):
            fit(config(**refused), dataset(people()), seed=3, device="cpu")


@pytest.mark.slow
def test_effects_in_every_layer_of_a_deep_network():
    data = dataset(people(persons=12))
    run = fit(config(hidden=(100, 50, 25, 12), batch=64, epochs=4, lr=0.002), data, seed=3, device="cpu")
    assert run.trained.network.effects.layout.size == 7_050
    components = run.variance_components()
    assert components["share"].sum() == pytest.approx(1.0)
    assert {name for name in run.trace().columns if name.startswith("variance[")} == {
        f"variance[layers.{layer}.{part}]" for layer in range(5) for part in ("weight", "bias")
    }
