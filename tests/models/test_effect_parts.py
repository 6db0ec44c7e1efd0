"""Parts of predictions add up to them, and are what plain loops over the tables of effects give."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from analyses.figures.rows import records
from toolkit import GroupedDataset, fit
from toolkit.errors import DataError
from toolkit.models import GenericMlp, Lmm, Lmmnn, McGmenn, NmeCrf, NmeMlp
from toolkit.models.effect_parts import shapley_values
from toolkit.runs.interpreting import parts_of_run, row_named

CLASSES = ["calm", "tense", "sad"]
RANDOM = "(1 + x1 | person) + (1 | item)"


def frame(rows: int = 240) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    person, item = rng.integers(0, 12, rows), rng.integers(0, 6, rows)
    x = rng.normal(size=(rows, 2))
    level = rng.normal(size=12)[person] + 0.7 * rng.normal(size=6)[item] + rng.normal(size=12)[person] * x[:, 0]
    return pd.DataFrame(
        {
            "person": [f"p{k}" for k in person],
            "item": [f"i{k}" for k in item],
            "x1": x[:, 0],
            "x2": x[:, 1],
            "y": level + x[:, 1] + rng.normal(size=rows),
            "mood": np.array(CLASSES)[rng.integers(0, 3, rows)],
        }
    )


def rows_of(table: pd.DataFrame, target: str | None = "y") -> GroupedDataset:
    classes = CLASSES if target == "mood" else None
    return GroupedDataset.from_frame(
        table, target=target, features=["x1", "x2"], groups=["person", "item"], classes=classes
    )


def fitted(config, target: str = "y"):
    return fit(config, rows_of(frame(), target), seed=1, split=None, progress=None)


def slow(*given: object):
    """A case for the slow lane."""
    return pytest.param(*given, marks=pytest.mark.slow)


def estimate(run, term: str, level: str, parameter: str, column: str = "estimate") -> float:
    table = run.random_effects(term)
    mine = table[(table["level"] == level) & (table["parameter"] == parameter)]
    return float(mine[column].iloc[0]) if len(mine) else 0.0


@pytest.fixture(scope="module")
def linear():
    return fitted(Lmm(random=RANDOM))


def test_parts_of_a_linear_model_are_what_its_table_says(linear):
    table = frame().head(30)
    found = parts_of_run(linear, rows_of(table))
    assert found.additive
    assert found.factors == ("person", "item")
    for place, row in enumerate(records(table)):
        level, slope = (estimate(linear, "person", row.person, f"layers.0.{n}") for n in ("bias", "weight[x1]"))
        assert found.parts[place, 0, 0] == pytest.approx(level + slope * row.x1, abs=1e-8)
        assert found.parts[place, 1, 0] == pytest.approx(estimate(linear, "item", row.item, "layers.0.bias"), abs=1e-8)
        sd = estimate(linear, "item", row.item, "layers.0.bias", "sd")
        assert found.covariance[place, 1, 0, 0] == pytest.approx(sd**2, rel=1e-8)
    total = found.population[:, 0] + found.parts[:, :, 0].sum(axis=1)
    np.testing.assert_allclose(total, linear.predict(rows_of(table)), atol=1e-8)
    np.testing.assert_allclose(found.population[:, 0], linear.predict(rows_of(table), "population"), atol=1e-8)


def test_the_sd_of_a_part_with_a_slope_is_that_of_draws_of_the_effects(linear):
    row = frame().iloc[[4]]
    found = parts_of_run(linear, rows_of(row))
    draws = linear.draw_effects(20_000, rng=np.random.default_rng(1))
    mine = draws[draws["level"] == row["person"].iloc[0]].pivot(index="draw", columns="parameter", values="value")
    values = mine["layers.0.bias"] + mine["layers.0.weight[x1]"] * row["x1"].iloc[0]
    assert np.sqrt(found.covariance[0, 0, 0, 0]) == pytest.approx(float(values.std()), rel=0.03)


def test_a_level_nobody_has_seen_adds_nothing_and_is_as_uncertain_as_levels_differ(linear):
    row = frame().iloc[[4]].assign(item="new")
    found = parts_of_run(linear, rows_of(row))
    components = linear.variance_components().set_index("term")["variance"]
    assert found.levels[0, 1] == -1
    assert found.parts[0, 1, 0] == 0.0
    assert found.covariance[0, 1, 0, 0] == pytest.approx(components["item"], rel=1e-8)


@pytest.mark.parametrize(
    ("config", "target"),
    [
        (Lmmnn(hidden=(4,), epochs=1, random=RANDOM), "y"),
        slow(NmeMlp(hidden=(4,), epochs=2, effects={"person": "last", "item": "layers.1.bias"}), "y"),
        (NmeMlp(task="multiclass", hidden=(4,), epochs=2, effects={"person": "last", "item": "*.bias"}), "mood"),
        slow(NmeMlp(task="multiclass", hidden=(4,), epochs=2, effects="layers.1.bias"), "mood"),
        slow(McGmenn(task="multiclass", hidden=(4,), epochs=2, random=RANDOM, draws=40), "mood"),
    ],
)
def test_parts_add_up_to_the_predictions(config, target):
    data = rows_of(frame(), target)
    if isinstance(config, NmeMlp) and isinstance(config.effects, str):
        data = GroupedDataset.from_frame(
            frame(), target=target, features=["x1", "x2"], groups="person", classes=CLASSES
        )
    run = fit(config, data, seed=1, split=None, progress=None)
    found = parts_of_run(run, data)
    total = found.population + found.parts.sum(axis=1)
    wanted = run.predict(data)
    if target == "y":
        np.testing.assert_allclose(total[:, 0], wanted, atol=1e-8)
    else:
        odds = np.exp(total)
        np.testing.assert_allclose(odds / odds.sum(axis=1, keepdims=True), wanted, atol=1e-8)
    np.testing.assert_allclose(found.predictions.reshape(wanted.shape), wanted, atol=1e-8)
    assert np.isfinite(found.covariance).all()


@pytest.mark.slow
def test_a_last_bias_adds_the_estimate_of_each_class():
    run = fitted(NmeMlp(task="multiclass", hidden=(4,), epochs=2,
                        effects={"person": "layers.1.bias", "item": "layers.1.bias"}), "mood")  # fmt: skip
    table = frame().head(5)
    found = parts_of_run(run, rows_of(table, "mood"))
    for place, row in enumerate(records(table)):
        for code, name in enumerate(CLASSES):
            wanted = estimate(run, "item", row.item, f"layers.1.bias[{name}]")
            assert found.parts[place, 1, code] == pytest.approx(wanted, abs=1e-10)


def test_parts_of_effects_inside_the_network_are_means_over_all_orders():
    run = fitted(NmeMlp(hidden=(3,), epochs=5, lr=0.05, effects={"person": "*.bias", "item": "*.bias"}))
    data = rows_of(frame().head(40))
    found = parts_of_run(run, data)
    whole = found.population[:, 0] + found.parts[:, :, 0].sum(axis=1)
    np.testing.assert_allclose(whole, run.predict(data), atol=1e-8)
    # ("item" leaves the person out, but there is no level that leaves the item out: a new item does)
    items = run.predict(data, "item")
    others = rows_of(frame().head(40).assign(item="nobody's"))
    persons = run.predict(others)
    person = 0.5 * (persons - found.population[:, 0] + run.predict(data) - items)
    np.testing.assert_allclose(found.parts[:, 0, 0], person, atol=1e-8)


def test_shapley_values_are_means_over_orders():
    rng = np.random.default_rng(2)
    known = {key: rng.normal(size=(2, 1)) for size in range(4) for key in _subsets(size)}
    found = shapley_values(lambda subset: known[subset], (0, 2, 5))
    orders = list(permutations((0, 2, 5)))
    for place, member in enumerate((0, 2, 5)):
        total = np.zeros((2, 1))
        for order in orders:
            before = tuple(sorted(order[: order.index(member)]))
            total += known[tuple(sorted((*before, member)))] - known[before]
        np.testing.assert_allclose(found[:, place], total / len(orders), atol=1e-12)


def _subsets(size: int) -> list[tuple[int, ...]]:
    return sorted({tuple(sorted(order[:size])) for order in permutations((0, 2, 5))})


def test_a_run_folder_gives_the_same_parts(linear, tmp_path):
    data = rows_of(frame())
    saved = fit(Lmm(random=RANDOM), data, seed=1, split=None, progress=None, out=tmp_path / "run")
    from toolkit import load_run

    some = row_named(data, 17)
    assert some.n_rows == 1
    here, there = parts_of_run(saved, some), parts_of_run(load_run(tmp_path / "run"), some)
    np.testing.assert_allclose(there.parts, here.parts, atol=1e-10)
    np.testing.assert_allclose(there.covariance, here.covariance, atol=1e-10)
    with pytest.raises(DataError) as caught:
        row_named(data, 10_000)
    assert caught.value.code == "E124"


@pytest.mark.slow
def test_models_without_sums_of_effects_are_refused():
    run = fitted(GenericMlp(hidden=(3,), epochs=1))
    with pytest.raises(DataError) as caught:
        parts_of_run(run, rows_of(frame().head(3)))
    assert caught.value.code == "E406"
    chain = GroupedDataset.from_frame(
        frame(40).assign(t=range(40)), target="mood", features=["x1"], groups="person", time="t", classes=CLASSES
    )
    run = fit(NmeCrf(hidden=(), epochs=1, variance_update="paper"), chain, seed=1, split=None, progress=None)
    with pytest.raises(DataError) as caught:
        parts_of_run(run, chain)
    assert caught.value.code == "E406"
