"""Columns that shift the transitions of a sequence: likelihood, standardisation, predictions, and bad columns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from analyses.report.dictionary import dictionary
from tests.models.simulated import chains, fitted, rows_of, thirds
from tests.oracles import chain as oracle
from toolkit import fit
from toolkit.data.demo.dyads import FEATURES as FOUR
from toolkit.data.demo.dyads import STATES, dyads
from toolkit.data.grouped import GroupedDataset
from toolkit.data.sequences import SequenceBatch
from toolkit.errors import DataError, RunFolderError
from toolkit.models import GenericCrf, NmeCrf
from toolkit.models import covariate_table as covariate_module
from toolkit.models.chain_covariates import fit_covariates
from toolkit.models.climbing import laplace_log_likelihood, to_mode
from toolkit.models.covariate_table import chain_information, covariate_table, long_run
from toolkit.models.fit_state import VarianceRule, start_state
from toolkit.models.joint_adaptation import speaking_rows
from toolkit.models.tables import transitions_table
from toolkit.numerics import chain
from toolkit.numerics.covariance import to_log_cholesky
from toolkit.runs.adapting import adapt
from toolkit.runs.folder import load_run

QUICK = {"hidden": (), "epochs": 3, "lr": 0.05}
FEATURES = ["a", "b", "age"]


@pytest.fixture(autouse=True, scope="module")
def few_rounds():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("toolkit.models.rounds.POLISH_STEPS", 2)
        yield


def diary(**roles):
    """Four persons with an age and a condition, three days each."""
    frame, _ = chains(persons=4, days=3, steps=4)
    person = frame["person"].str[1:].astype(int)
    frame = frame.assign(age=20.0 + 7 * person, condition=np.where(person % 2, "ill", "well"), late=frame["day"] % 2)
    given = {"features": FEATURES, "sequence": "day", "group": "condition", "classes": ("calm", "glad", "tense")}
    return rows_of(frame, **given | roles)


def test_scores_of_a_sequence_are_those_of_its_covariates():
    data = diary()
    config = GenericCrf(transition_covariates=("age", "condition"), **QUICK)
    network = fitted(config, data).network
    rng = np.random.default_rng(1)
    network.shared["slopes"].copy_(torch.as_tensor(rng.normal(size=(2, 3, 3))))
    arguments, layout = network._chain(data, network.codes(data))
    ages, batch = np.array([20.0, 27.0, 34.0, 41.0]), SequenceBatch.from_grouped(data)
    z = (ages - ages.mean()) / ages.std()
    total, shared = 0.0, network.shared["transitions"].numpy()
    for place, (person, rows) in enumerate(zip(batch.person, batch.rows, strict=True)):
        matrix = shared + z[person] * network.shared["slopes"][0].numpy()
        matrix = matrix + (person % 2 == 0) * network.shared["slopes"][1].numpy()  # "ill" is 0, "well" is 1
        np.testing.assert_allclose(arguments.scores["transitions"][place], matrix, rtol=1e-12)
        emissions = arguments.scores["emissions"][place].numpy()
        total -= oracle.log_likelihood(emissions.tolist(), data.target[rows].astype(int).tolist(), matrix.tolist())
    assert layout.sequences is not None
    found = -chain.log_likelihood(states=arguments.states, **arguments.scores).sum()
    assert float(found) == pytest.approx(total, rel=1e-10)


@pytest.mark.slow
def test_covariates_stay_out_of_the_emissions_and_shift_the_table():
    data = diary()
    trained = fitted(NmeCrf(effects="T", transition_covariates=("age",), **QUICK), data, thirds(data))
    network = trained.network
    assert network.scaler.names == ("a", "b")
    assert network.shared["slopes"].shape == (1, 3, 3)
    assert "slopes" not in network.effects.layout.names
    network.shared["slopes"].copy_(torch.arange(9.0).reshape(1, 3, 3))
    table = transitions_table(trained, data).set_index(["person", "from_state", "to_state"])
    effects = network.effects.layout.unflatten(network.effects.eta)["transitions"]
    z = float((np.float64(41.0) - network.covariates.centre[0]) / network.covariates.scale[0])
    expected = float(network.shared["transitions"][2, 1] + z * 7.0 + effects[3, 2, 1])
    assert table.loc[("p03", "tense", "glad"), "score"] == pytest.approx(expected)


def test_a_column_of_zero_and_one_stays_as_it_is_and_may_change_from_day_to_day():
    data = diary(features=["a", "b", "late"])
    found = fit_covariates(("late",), data, np.full(data.n_rows, "train"))
    assert (found.centre[0], found.scale[0]) == (0.0, 1.0)
    values = found.values(data, SequenceBatch.from_grouped(data))
    np.testing.assert_array_equal(values[:, 0], [0.0, 1.0, 0.0] * 4)


def test_a_run_folder_predicts_with_covariates_and_misses_them(tmp_path):
    data = diary()
    run = fit(GenericCrf(transition_covariates=("age", "condition"), **QUICK), data, seed=1, out=tmp_path / "run",
              progress=None)  # fmt: skip
    saved = load_run(tmp_path / "run")
    np.testing.assert_allclose(saved.predict(data), run.predict(data), rtol=1e-12)
    with pytest.raises(DataError, match="E405: transition covariate missing: age"):
        run.predict(diary(features=["a", "b"]))
    with pytest.raises(DataError, match="E405: transition covariate missing: condition"):
        run.predict(diary(group=None))
    with pytest.raises(DataError, match="E111"):
        run.predict(replace(data, person_group=(None, *data.person_group[1:])))
    with pytest.raises(DataError, match="E120"):
        run.predict(replace(data, person_group=("other", *data.person_group[1:])))


def test_columns_that_cannot_be_covariates():
    data, everything = diary(), np.full(48 * 3, "train")
    with pytest.raises(DataError, match="E161: transition covariate 'a' changes within a sequence") as caught:
        fit(GenericCrf(transition_covariates=("a",), **QUICK), data, seed=1, progress=None)
    assert caught.value.rows[0] == 3
    with pytest.raises(DataError, match="E405"):
        fit(GenericCrf(transition_covariates=("mood",), **QUICK), data, seed=1, progress=None)
    same = np.array(data.features)
    same[:, 2] = 30.0
    with pytest.raises(DataError, match="same in every training sequence"):
        fit_covariates(("age",), replace(data, features=same), everything[: data.n_rows])
    three = replace(data, person_group=("x", "y", "z", "x"))
    with pytest.raises(DataError, match="3 groups in words"):
        fit_covariates(("condition",), three, everything[: data.n_rows])


# ---------------------------------------------------------------- standard errors


def settled(data, config, labels=None):
    """A fit whose slopes have moved away from zero."""
    trained = fitted(config, data, labels)
    trained.network.shared["slopes"].add_(0.3 * torch.randn((1, 3, 3), generator=torch.Generator().manual_seed(2)))
    return trained


def by_hand(trained, data, names):
    """Marginal information from the whole Hessian over the shared parameters and every effect, then eliminated."""
    network = trained.network
    train = speaking_rows(network, data, np.full(data.n_rows, "train"), network.all_codes(data))
    effects = [network.effects, *(factor.effects for factor in network.further)]
    etas = [part.eta.detach() for part in effects]
    counts = [eta.numel() for eta in etas]
    shared = {name: value.detach() for name, value in network.shared.items()}
    sizes = [shared[name].numel() for name in names]
    start = torch.cat([*(shared[name].reshape(-1) for name in names), *(eta.reshape(-1) for eta in etas)])
    precisions = [torch.linalg.inv(part.covariance) for part in effects]

    def objective(values):
        parts = torch.split(values, [*sizes, *counts])
        given = {name: part.reshape(shared[name].shape) for name, part in zip(names, parts, strict=False)}
        own = [part.reshape(eta.shape) for part, eta in zip(parts[len(names) :], etas, strict=True)]
        loss = train.losses({**shared, **given}, network.line_layout, train.lines_of(*own)).sum()
        return loss + sum(0.5 * ((eta @ inv) * eta).sum() for eta, inv in zip(own, precisions, strict=True))

    whole = torch.autograd.functional.hessian(objective, start)
    cut = sum(sizes)
    return whole[:cut, :cut] - whole[:cut, cut:] @ torch.linalg.solve(whole[cut:, cut:], whole[cut:, :cut])


@pytest.mark.slow
@pytest.mark.parametrize("several", [pytest.param(False, marks=pytest.mark.slow), True])
def test_the_information_is_what_is_left_of_the_hessian_without_the_effects(several):
    data = diary(groups=["person", "condition"] if several else "person")
    config = NmeCrf(
        effects="last+T", transition_covariates=("age",), forbidden=(("tense", "tense"),), learn_ends=True, **QUICK
    )
    target = np.where(np.asarray(data.target) == 2, 1, np.asarray(data.target))
    target[::5] = 2
    data = replace(data, target=target)
    trained = settled(data, config)
    found = chain_information(trained, data, np.full(data.n_rows, "train"))
    assert found.names == ("layers.0.weight", "layers.0.bias", "transitions", "slopes", "start", "end")
    expected = by_hand(trained, data, found.names)
    torch.testing.assert_close(found.matrix, expected, rtol=1e-7, atol=1e-9)


def test_long_run_probabilities_are_those_inside_a_long_chain():
    rng = np.random.default_rng(4)
    for forbid in (False, True):
        scores = rng.normal(size=(3, 3))
        if forbid:
            np.fill_diagonal(scores, -np.inf)
        matrix = torch.as_tensor(scores)
        emissions = torch.zeros((1, 301, 3), dtype=torch.float64)
        usable = torch.where(torch.isneginf(matrix), chain.IMPOSSIBLE, matrix)
        pairs = chain.marginals(emissions, usable)[1][0, 150]
        found = torch.exp(long_run(matrix))
        torch.testing.assert_close(found, pairs / pairs.sum(dim=1, keepdim=True), rtol=1e-3, atol=0.0)
        roots, vectors = np.linalg.eig(np.exp(scores))
        place = int(np.argmax(roots.real))
        eigen = vectors[:, place].real
        expected = np.exp(scores) * eigen / (roots[place].real * eigen[:, None])
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10)
        # neither a constant nor scores of the ends change it
        ends = torch.as_tensor(rng.normal(size=3))
        torch.testing.assert_close(torch.exp(long_run(matrix + 2.0 + ends[:, None] - ends)), found)
    period = torch.tensor([[-torch.inf, 0.3], [1.0, -torch.inf]], dtype=torch.float64)
    torch.testing.assert_close(torch.exp(long_run(period)), torch.eye(2, dtype=torch.float64).flip(0))


@pytest.mark.slow
def test_the_table_is_centred_and_its_errors_are_those_of_differences(monkeypatch):
    data = diary()
    config = NmeCrf(effects="T", transition_covariates=("condition", "age"), forbidden=(("calm", "tense"),), **QUICK)
    target = np.asarray(data.target).copy()
    follows = np.flatnonzero((target[:-1] == 0) & (target[1:] == 2)) + 1
    target[follows] = 1
    data = replace(data, target=target)
    trained, labels = fitted(config, data), np.full(data.n_rows, "train")
    table = covariate_table(trained, data, labels)
    assert len(table) == 16
    assert table["meaning"].unique().tolist() == ["well against ill", "per standard deviation (7.826), centred at 30.5"]
    sums = table.groupby(["covariate", "from_state"])[["estimate", "probability", "probability_shifted"]].sum()
    np.testing.assert_allclose(sums, np.tile([0.0, 1.0, 1.0], (6, 1)), atol=1e-12)
    # the delta method by differences along each parameter
    information = chain_information(trained, data, labels)
    covariance, _ = information.inverse()
    monkeypatch.setattr(covariate_module, "_standard_errors", lambda *_: np.full(18, np.nan))
    shared, derivative = trained.network.shared, np.zeros((len(table), len(covariance)))
    for name in ("transitions", "slopes"):
        flat = shared[name].view(-1)
        for number in range(len(flat)):
            values = []
            for step in (1e-5, -1e-5):
                flat[number] += step
                values.append(covariate_table(trained, data, labels)["estimate"].to_numpy())
                flat[number] -= step
            derivative[:, information.place(name).start + number] = (values[0] - values[1]) / 2e-5
    expected = np.sqrt(np.einsum("ij,jk,ik->i", derivative, covariance.numpy(), derivative))
    np.testing.assert_allclose(table["se"], expected, rtol=1e-5)
    np.testing.assert_allclose(table["high"] - table["low"], 2 * 1.959964 * table["se"], rtol=1e-6)


@pytest.mark.slow
def test_errors_do_not_depend_on_which_generalised_inverse_is_taken():
    data = diary()
    trained = fitted(NmeCrf(effects="T", transition_covariates=("age",), **QUICK), data)
    labels = np.full(data.n_rows, "train")
    before = covariate_table(trained, data, labels)["se"]
    assert np.isfinite(before).all()
    trained.network.shared["slopes"].add_(3.0)  # a constant on every cell changes nothing
    np.testing.assert_allclose(covariate_table(trained, data, labels)["se"], before, rtol=1e-6)


@pytest.mark.slow
def test_what_is_no_likelihood_has_no_errors():
    data, labels = diary(), np.full(144, "train")
    for settings in ({"variance_update": "unregularised"}, {"variance_update": "paper", "weighting": "as_published"}):
        trained = fitted(NmeCrf(effects="T", transition_covariates=("age",), **settings, **QUICK), data)
        table = covariate_table(trained, data, labels)
        assert table["se"].isna().all()
        assert np.isfinite(table["estimate"]).all()


@pytest.mark.slow
def test_slopes_settle_with_the_variances():
    """At the end the likelihood has no slope along them: early stopping does not leave them on the way from zero."""
    data = diary()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("toolkit.models.rounds.POLISH_STEPS", 20)
        trained = fitted(NmeCrf(effects="T", transition_covariates=("age",), **QUICK), data)
    network = trained.network
    train = speaking_rows(network, data, np.full(data.n_rows, "train"), network.all_codes(data))
    effects = network.effects
    state = start_state(network.shared, effects.layout, len(effects.eta), VarianceRule(update="em"))
    state.eta.copy_(effects.eta)
    state.log_cholesky.copy_(to_log_cholesky(effects.covariance, diagonal=True))
    slopes, gradient = state.shared["slopes"].view(-1), []
    for place in range(len(slopes)):
        sides = []
        for step in (1e-2, -1e-2):
            slopes[place] += step
            sides.append(laplace_log_likelihood(train, state, to_mode(train, state)))
            slopes[place] -= step
        gradient.append((sides[0] - sides[1]) / 2e-2)
    covariance = chain_information(trained, data, np.full(data.n_rows, "train")).block("slopes").inverse()[0]
    assert float((covariance @ torch.tensor(gradient, dtype=torch.float64)).abs().max()) < 1e-2


@pytest.mark.slow
def test_a_run_and_its_folder_tell_the_shifts(tmp_path):
    data = diary()
    config = NmeCrf(effects="T", transition_covariates="condition", **QUICK)
    run = fit(config, data, seed=1, out=tmp_path / "run", progress=None)
    saved = load_run(tmp_path / "run")
    pd.testing.assert_frame_equal(saved.transition_covariates(), run.transition_covariates())
    assert set(dictionary(saved)["column"]) >= {"probability_shifted", "se"}
    others = replace(data, groupings=(replace(data.groupings[0], levels=("q0", "q1", "q2", "q3")),))
    adapted = adapt(run, others, seed=1, out=tmp_path / "adapted")
    with pytest.raises(DataError, match="E406"):
        adapted.transition_covariates()
    with pytest.raises(RunFolderError, match="E406"):
        load_run(tmp_path / "adapted").transition_covariates()


@pytest.mark.slow
def test_known_shifts_are_found_within_their_intervals():
    """60 persons, two shifted cells; of twelve intervals at 95 % at least ten hold the truth, over two data sets."""
    held = []
    for seed in (1, 2):
        frame, truth = dyads(
            rng=np.random.default_rng(seed), persons=60, families=60, segments=4_800, correlation=0.0, sd=0.4
        )
        study = GroupedDataset.from_frame(
            frame, target="state", features=list(FOUR), groups="person", time="segment", group="depressed",
            classes=STATES,
        )  # fmt: skip
        config = NmeCrf(hidden=(), effects="T", forbidden="self", transition_covariates="depressed")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("toolkit.models.rounds.POLISH_STEPS", 60)
            table = fit(config, study, seed=1, split=None, progress=None).transition_covariates()
        kept = ~np.eye(4, dtype=bool)
        known = np.where(kept, truth.effect, np.nan)
        known = (known - np.nanmean(known, axis=1, keepdims=True))[kept]
        held.append((table["low"] <= known) & (known <= table["high"]))
        assert table["se"].max() < 0.3
        assert np.corrcoef(table["estimate"], known)[0, 1] > 0.7
    assert np.mean(held) >= 10 / 12
