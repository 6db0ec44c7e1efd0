"""Columns that shift the transitions of a sequence: likelihood, standardisation, predictions, and bad columns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.models.simulated import chains, fitted, rows_of, thirds
from tests.oracles import chain as oracle
from toolkit import fit
from toolkit.data.sequences import SequenceBatch
from toolkit.errors import DataError
from toolkit.models import GenericCrf, NmeCrf
from toolkit.models.chain_covariates import fit_covariates
from toolkit.models.tables import transitions_table
from toolkit.runs.folder import load_run

QUICK = {"hidden": (), "epochs": 3, "lr": 0.05}
FEATURES = ["a", "b", "age"]


@pytest.fixture(autouse=True, scope="module")
def few_rounds():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("toolkit.models.estimate.POLISH_STEPS", 2)
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
    from toolkit.numerics import chain

    found = -chain.log_likelihood(states=arguments.states, **arguments.scores).sum()
    assert float(found) == pytest.approx(total, rel=1e-10)


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
