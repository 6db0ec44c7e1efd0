"""Settings of chains together: forbidden transitions and covariates with several grouping factors, own networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from toolkit import fit
from toolkit.data.demo.dyads import FEATURES, STATES, dyads
from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ConfigError
from toolkit.models import Module, NmeCrf
from toolkit.runs.adapting import adapt
from toolkit.runs.folder import load_run

QUICK = {"epochs": 12, "lr": 0.05}
PARTS = {"forbidden": "self", "transition_covariates": ("depressed",)}


@pytest.fixture(autouse=True, scope="module")
def few_rounds():
    """What is tested here does not need settled variances."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("toolkit.models.rounds.POLISH_STEPS", 2)
        yield


def families(names: tuple[str, ...] = ("person", "family"), seed: int = 3) -> GroupedDataset:
    frame, _ = dyads(rng=np.random.default_rng(seed), persons=12, families=6, segments=360)
    frame["person"] = frame["person"].str.replace("P", f"s{seed}_")
    frame["family"] = frame["family"].str.replace("C", f"f{seed}_")
    return GroupedDataset.from_frame(
        frame, target="state", features=list(FEATURES), groups=list(names), time="segment", group="depressed",
        cluster="family", classes=STATES,
    )  # fmt: skip


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"hidden": (), "effects": "last+T"}, marks=pytest.mark.slow),
        pytest.param({"hidden": (3,), "effects": {"person": "last+T", "family": "T"}}, marks=pytest.mark.slow),
        pytest.param(
            {"hidden": (), "effects": "T", "covariance": {"person": "diagonal", "family": "full"}},
            marks=pytest.mark.slow,
        ),
        pytest.param({"hidden": (3,), "effects": "T", "variance_update": "paper"}, marks=pytest.mark.slow),
    ],
)
def test_chain_settings_go_with_several_grouping_factors(tmp_path, settings):
    data = families()
    run = fit(NmeCrf(**PARTS, **QUICK, **settings), data, seed=1, split=None, out=tmp_path / "run", progress=None)
    table = run.transitions()
    same = table["from_state"] == table["to_state"]
    assert (table.loc[same, "probability"] == 0).all()
    assert table.loc[same, "score"].isna().all()
    sums = table.groupby(["person", "from_state"])["probability"].sum()
    np.testing.assert_allclose(sums, 1.0, rtol=1e-12)
    network = run.trained.network
    diagonal = torch.diagonal(network.shared["transitions"])
    assert not diagonal.any()  # no factor's mean moves what cannot occur
    assert not any(f"[{state},{state}]" in label for label in network.effects.layout.labels for state in STATES)
    saved = load_run(tmp_path / "run")
    np.testing.assert_array_equal(saved.predict(data), run.predict(data))
    adapted = adapt(run, families(seed=4), seed=1)
    assert np.isfinite(adapted.predict(families(seed=4))).all()


@pytest.mark.slow
def test_with_two_factors_the_loss_falls_as_the_rounds_go_on():
    """The means that move into the shared scores are those of coordinates that exist."""
    data = families()
    run = fit(NmeCrf(hidden=(), effects="T", forbidden="self", **QUICK), data, seed=1, split=None, progress=None)
    trace = run.trace()
    assert np.isfinite(trace["loss"]).all()
    assert trace["loss"].iloc[-1] < trace["loss"].iloc[0] - 0.1


def test_the_published_weighting_takes_one_factor():
    config = NmeCrf(weighting="as_published", variance_update="paper", **QUICK)
    with pytest.raises(ConfigError, match="takes one grouping factor"):
        fit(config, families(), seed=1, progress=None)


@pytest.mark.parametrize("update", [pytest.param("em", marks=pytest.mark.slow), "paper", "unregularised"])
def test_chain_settings_go_with_every_update_and_covariance(update):
    data = families(("person",))
    config = NmeCrf(hidden=(3,), variance_update=update, covariance="full", **PARTS, **QUICK)
    run = fit(config, data, seed=1, split=None, progress=None)
    assert np.isfinite(run.predict(data)).all()
    assert np.isfinite(run.random_effects()["sd"]).all()


@pytest.mark.slow
def test_chain_settings_go_with_a_network_of_ones_own():
    torch.manual_seed(1)
    own = Module(module=torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 4)))
    data = families(("person",))
    run = fit(NmeCrf(module=own, effects="T", **PARTS, **QUICK), data, seed=1, split=None, progress=None)
    table = run.transitions()
    assert (table.loc[table["from_state"] == table["to_state"], "probability"] == 0).all()


@pytest.mark.slow
def test_chain_settings_go_with_mini_batches():
    data = families(("person",))
    run = fit(NmeCrf(hidden=(), effects="T", batch=60, **PARTS, **QUICK), data, seed=1, split=None, progress=None)
    assert np.isfinite(run.transition_covariates()["se"]).all()
    assert (run.move_probabilities(data).query("from_state == to_state")["probability"] == 0).all()
