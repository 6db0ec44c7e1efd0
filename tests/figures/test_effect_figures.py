"""Figures of grouping factors: the data drawn, what is marked, every size of paper."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from drawn import faults

from analyses.contributions import contributions as taken_apart
from analyses.contributions import kept_contributions
from analyses.effect_distributions import EffectDistributions, EffectSpread
from analyses.effect_parameters import Varying
from analyses.figures import contributions, factor_distributions
from analyses.figures.presets import PRESETS, sheet
from analyses.grouping_factors import Factor

FACTORS = (("who", "person", 40, 1.4), ("family", "family", 9, 0.3), ("item", "item", 400, 0.0))


def spreads(classes: tuple[str, ...] = ("",)) -> tuple[EffectDistributions, pd.DataFrame]:
    """Variances and effects of three factors, one of them without spread and with many levels."""
    rng, parts, effects = np.random.default_rng(1), [], []
    for place, (term, noun, levels, sd) in enumerate(FACTORS):
        for name in classes:
            parameter = f"output.bias[{name}]" if name else "output.bias"
            one = Varying(name=parameter, label="average level", outcome=name, is_level=True)
            estimates = rng.normal(size=levels) * sd * 0.8
            ends = {"low": (0.8 * sd) ** 2, "high": (1.3 * sd) ** 2} if sd else {"low": np.nan, "high": np.nan}
            parts.append(
                EffectSpread(
                    factor=Factor(term=term, noun=noun, is_person=place == 0), parameter=one, levels=levels,
                    variance=sd**2, spread=float(estimates.std()), reliability=0.64, information=10.0,
                    at_boundary=sd == 0, **ends,
                )
            )  # fmt: skip
            table = {"term": term, "level": [f"{term}{k}" for k in range(levels)], "parameter": parameter}
            effects.append(pd.DataFrame({**table, "estimate": estimates}))
    return EffectDistributions(parts=tuple(parts), level=0.95, scale="log odds"), pd.concat(effects)


def one_prediction(classes: int = 3, factors: int = 3):
    rng = np.random.default_rng(2)
    names = tuple(f"class number {k}" for k in range(classes))
    population, parts = rng.normal(size=(1, classes)), rng.normal(size=(1, factors, classes))
    root = rng.normal(size=(1, factors, classes, classes))
    odds = [np.exp(v) / np.exp(v).sum() for v in (population, population + parts.sum(axis=1))]
    given = SimpleNamespace(
        task="multiclass" if classes > 1 else "regression", outputs=names, classes=names if classes > 1 else None,
        factors=("who", "family", "item")[:factors], levels=np.zeros((1, factors)), population=population, parts=parts,
        covariance=root @ root.transpose(0, 1, 3, 2), additive=True, field=None,
        predictions_population=odds[0], predictions=odds[1],
    )  # fmt: skip
    return taken_apart(given, ["P07", "", "G03"][:factors], outcome="mood")  # pyright: ignore[reportArgumentType]


def test_hills_are_of_the_estimates_and_lines_of_the_variance():
    found, effects = spreads()
    frame = factor_distributions.tidy(found, effects, marked={"who": "who3", "family": ""})
    line = frame[(frame["row"] == 0) & (frame["kind"] == "normal")]
    density = np.exp(-0.5 * (line["x"] / 1.4) ** 2)
    np.testing.assert_allclose(line["height"] / line["height"].max(), density, atol=1e-3)
    hill = frame[(frame["row"] == 0) & (frame["kind"] == "estimates")]
    own = effects.loc[effects["term"] == "who", "estimate"]
    assert np.average(hill["x"], weights=hill["height"]) == pytest.approx(own.mean(), abs=0.02)
    assert hill["height"].max() > line["height"].max()  # estimates lie closer together
    marks = frame[frame["kind"] == "mark"].set_index("row")["x"]
    assert marks[0] == pytest.approx(float(effects.loc[effects["level"] == "who3", "estimate"].iloc[0]))
    assert marks[1] == 0.0
    assert 2 not in marks.index
    assert (frame[frame["kind"] == "level"].groupby("row").size()[:2] == [40, 9]).all()
    assert not len(frame[(frame["row"] == 2) & (frame["kind"] == "level")])  # too many to be told apart


@pytest.mark.parametrize("classes", [("",), ("calm", "tense", "sad")])
@pytest.mark.parametrize("size", ["89mm", "slide"])
def test_distributions_fit_on_paper_and_screen(classes, size):
    found, effects = spreads(classes)
    frame = factor_distributions.tidy(found, effects, marked={"who": "who1"})
    assert faults(sheet(lambda width: factor_distributions.print_figure(frame, width_mm=width), PRESETS[size])) == []
    drawn = factor_distributions.screen(frame)
    assert sum(trace.get("name") == factor_distributions.NAMES["mark"] for trace in drawn.to_dict()["data"]) == len(
        classes
    )
    said = factor_distributions.alt_text(frame)
    assert "SD 1.40 [1.12, 1.82]" in said
    assert "nan" not in said
    assert said.endswith(".")


def test_of_very_many_classes_those_that_vary_most_are_drawn():
    names = tuple(f"c{k:02d}" for k in range(20))
    found, effects = spreads(names)
    frame = factor_distributions.tidy(found, effects)
    assert frame["row"].nunique() == 24
    assert frame["outcome"].nunique() == 8
    assert factor_distributions.drawn_count(found) == 24


@pytest.mark.parametrize(("classes", "panels"), [(1, 1), (3, 3), (9, 6)])
def test_steps_lead_from_the_population_to_the_prediction(classes, panels):
    found = one_prediction(classes)
    frame = contributions.tidy(found, names=True)
    assert frame["panel"].nunique() == panels
    for _, part in frame.groupby("panel"):
        steps = part.sort_values("row")
        ends = steps["end"].to_numpy()
        np.testing.assert_allclose(steps["start"].to_numpy()[1:-1], ends[:-2])
        assert ends[-1] == pytest.approx(ends[-2])
    assert list(frame["label"].head(5)) == [
        "without effects", "person P07", "family (not in training)", "item G03", "with all effects",
    ]  # fmt: skip
    assert "P07" not in " ".join(contributions.tidy(found)["label"])
    for size in ("89mm", "slide"):
        assert faults(sheet(lambda width: contributions.print_figure(frame, width_mm=width), PRESETS[size])) == []
    assert len(contributions.screen(frame).to_dict()["data"]) == 3 * panels
    said = contributions.alt_text(frame)
    assert "nan" not in said
    assert said.endswith(".")


def test_the_class_that_is_predicted_is_always_drawn():
    found = one_prediction(9)
    titles = " ".join(contributions.tidy(found)["title"].unique())
    assert f"class number {int(np.argmax(found.predictions))}:" in titles


@pytest.mark.parametrize("classes", [1, 3])
def test_what_was_kept_is_drawn_alike(classes):
    found = one_prediction(classes)
    again = kept_contributions(found.to_frame(), found.summary())
    pd.testing.assert_frame_equal(contributions.tidy(again), contributions.tidy(found))
    assert again.text() == found.text()
