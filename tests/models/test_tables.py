"""Tables of a fitted model against plain loops."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.simulated import chains, fitted, numbers, rows_of
from toolkit.data.grouped import GroupedDataset
from toolkit.metrics import accuracy, pearson
from toolkit.models import NmeCrf
from toolkit.models.evaluation import metrics_table, predictions_table
from toolkit.models.tables import observed_counts, persons_table, previous_states, transitions_table

STATES = ("x", "y", "z")
ROWS = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 2), st.sampled_from([*STATES, None])), min_size=1, max_size=25
)


def dataset(rows: list[tuple[str, int, str | None]], seed: int) -> GroupedDataset:
    """Rows of persons and days in shuffled order; the time counts days, then moments."""
    moment = np.array([day * 100 + place for place, (_, day, _) in enumerate(rows)], dtype=float)
    frame = pd.DataFrame(rows, columns=["person", "day", "state"]).assign(t=moment)
    frame = frame.sample(frac=1.0, random_state=seed).reset_index(drop=True)
    return GroupedDataset.from_frame(
        frame, target="state", features=[], groups="person", time="t", sequence="day", classes=STATES,
        allow_missing_target=True,
    )  # fmt: skip


def in_order(data: GroupedDataset, person: int) -> list[int]:
    """Row numbers of a person by time."""
    return sorted(np.flatnonzero(np.asarray(data.person) == person), key=lambda row: data.time[row])


def state(data: GroupedDataset, row: int) -> int:
    return -1 if math.isnan(data.target[row]) else int(data.target[row])


@given(ROWS, st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_observed_transitions_are_counted_within_sequences(rows, seed):
    data = dataset(rows, seed)
    expected = np.zeros((data.n_persons, 3, 3), dtype=int)
    for person in range(data.n_persons):
        order = in_order(data, person)
        for before, after in itertools.pairwise(order):
            same = data.sequence[before] == data.sequence[after]
            if same and state(data, before) >= 0 and state(data, after) >= 0:
                expected[person, state(data, before), state(data, after)] += 1
    np.testing.assert_array_equal(observed_counts(data, 3), expected)


@given(ROWS, st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_the_previous_state_is_the_last_one_known_of_that_person(rows, seed):
    data = dataset(rows, seed)
    expected = np.full(data.n_rows, -1)
    for person in range(data.n_persons):
        last = -1
        for row in in_order(data, person):
            expected[row] = last
            last = state(data, row) if state(data, row) >= 0 else last
    np.testing.assert_array_equal(previous_states(data), expected)


def test_persons_are_counted_by_part():
    frame = numbers(persons=4, rows=12).iloc[:40]  # the last person has 4 rows
    frame = frame.sample(frac=1.0, random_state=0).assign(who=lambda f: f["person"].map({"p0": "low", "p1": "high"}))
    data = rows_of(frame, group="who")
    labels = np.random.default_rng(0).choice(["train", "validation", "test"], data.n_rows)
    labels[np.asarray(data.person) == 2] = "test"
    table = persons_table(data, labels).set_index("person")
    for person in data.persons:
        mine = (frame["person"] == person).to_numpy()
        row = table.loc[person]
        assert row["rows"] == mine.sum()
        for part in ("train", "validation", "test"):
            assert row[f"rows_{part}"] == (labels[mine] == part).sum()
        baseline = frame["y"][mine & (labels == "train")].mean()
        assert row["baseline"] == pytest.approx(baseline, nan_ok=True)
        assert row["in_metrics"] == (mine.sum() >= 10)
    assert math.isnan(table.loc[data.persons[2], "baseline"])
    assert table.loc[["p0", "p1"], "group"].tolist() == ["low", "high"]
    assert table.loc[["p2", "p3"], "group"].isna().all()


def predictions(truth: dict[str, list], prediction: dict[str, list]) -> pd.DataFrame:
    rows = [
        {"person": person, "split": "test", "truth": y, "prediction": f, "prediction_population": f}
        for person in truth
        for y, f in zip(truth[person], prediction[person], strict=True)
    ]
    return pd.DataFrame(rows)


def chosen(table: pd.DataFrame, scope: str, metric: str, level: str = "person") -> pd.DataFrame:
    return table[(table["scope"] == scope) & (table["metric"] == metric) & (table["level"] == level)]


def test_short_persons_are_left_out_and_undefined_values_counted():
    rng = np.random.default_rng(0)
    truth = {
        "p0": list(rng.standard_normal(12)),
        "p1": list(rng.standard_normal(10)),
        "p2": [1.0] * 11,
        "p3": [1.0, 2.0],
    }
    found = {person: [value + rng.standard_normal() for value in values] for person, values in truth.items()}
    persons = pd.DataFrame({"person": list(truth), "in_metrics": [True, True, True, False]})
    table = metrics_table(predictions(truth, found), persons, task="regression")
    single = chosen(table, "person", "pearson").set_index("person")
    assert list(single.index) == ["p0", "p1", "p2"]
    values = [pearson(np.array(truth[p]), np.array(found[p])) for p in ("p0", "p1")]
    assert single["value"].tolist()[:2] == pytest.approx(values)
    assert math.isnan(single.loc["p2", "value"])
    mean = chosen(table, "mean", "pearson").iloc[0]
    assert mean["value"] == pytest.approx(np.mean(values))
    assert (mean["persons"], mean["excluded"], mean["rows"]) == (2, 1, 33)
    rmse = chosen(table, "mean", "rmse").iloc[0]
    assert (rmse["persons"], rmse["excluded"]) == (3, 0)
    pooled = chosen(table, "pooled", "pearson").iloc[0]
    together = [np.concatenate([np.array(part[p]) for p in ("p0", "p1", "p2")]) for part in (truth, found)]
    assert pooled["value"] == pytest.approx(pearson(*together))
    assert set(table["level"]) == {"person", "population"}


def test_class_metrics_and_rows_without_truth():
    truth = {"p0": ["x", "y"] * 6, "p1": ["x"] * 10 + [None]}
    found = {"p0": ["x", "x"] * 6, "p1": ["x"] * 11}
    persons = pd.DataFrame({"person": list(truth), "in_metrics": [True, True]})
    table = metrics_table(predictions(truth, found), persons, task="multiclass")
    hits = chosen(table, "person", "accuracy").set_index("person")
    assert hits["value"].tolist() == [0.5, 1.0]
    assert hits["rows"].tolist() == [12, 10]
    alpha = chosen(table, "mean", "krippendorff_alpha").iloc[0]
    assert (alpha["persons"], alpha["excluded"]) == (1, 1)  # one state only: undefined, not perfect
    pooled = chosen(table, "pooled", "accuracy").iloc[0]
    assert pooled["value"] == pytest.approx(accuracy(["x", "y"] * 6 + ["x"] * 10, ["x"] * 22))


@pytest.fixture(scope="module")
def chain_model():
    data = rows_of(chains(persons=4, days=2, steps=8)[0], sequence="day").as_classes()
    return fitted(NmeCrf(hidden=(), effects="last+T", epochs=20, lr=0.05, variance_update="paper"), data), data


def test_the_transitions_table_is_about_transitions(chain_model):
    trained, data = chain_model
    table = transitions_table(trained, data)
    assert len(table) == 4 * 9
    shared, layout = trained.network.shared["transitions"].numpy(), trained.network.effects.layout
    own = layout.unflatten(trained.network.effects.eta)["transitions"].numpy()
    counts = observed_counts(data, 3)
    for row in table.itertuples():
        person = data.persons.index(row.person)
        before, after = data.classes.index(row.from_state), data.classes.index(row.to_state)
        scores = shared + own[person]
        assert row.score == pytest.approx(scores[before, after])
        assert row.probability == pytest.approx(np.exp(scores[before, after]) / np.exp(scores[before]).sum())
        assert row.generic == pytest.approx(np.exp(shared[before, after]) / np.exp(shared[before]).sum())
        assert row.observed == counts[person, before, after]
    for column in ("probability", "generic", "expected"):
        sums = table.groupby(["person", "from_state"])[column].sum()
        np.testing.assert_allclose(sums, 1.0, rtol=1e-9)


def test_the_predictions_table_stands_in_the_order_of_the_rows(chain_model):
    trained, data = chain_model
    order = np.random.default_rng(0).permutation(data.n_rows)
    shuffled = data.take(order)
    labels = np.full(data.n_rows, "test")
    table = predictions_table(trained.network, shuffled, labels)
    assert table["row"].tolist() == order.tolist()
    names = np.array(data.classes)
    assert table["truth"].tolist() == names[np.asarray(shuffled.target).astype(int)].tolist()
    chances = table[[f"probability_{name}" for name in names]].to_numpy()
    np.testing.assert_allclose(chances, trained.network.predict(shuffled))
    assert table["prediction_sequence"].tolist() == names[trained.network.decode(shuffled)].tolist()
    before = previous_states(shuffled)
    assert table["previous_state"].isna().tolist() == (before < 0).tolist()
    assert table["previous_state"].dropna().tolist() == names[before[before >= 0]].tolist()
