"""The curve over shares of rows: means by hand, whole clusters, refusals, and its sentences word by word."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analyses.adaptation import adaptation_curve
from toolkit.errors import DataError, ToolkitWarning

PERSONS = [f"Z{k}" for k in range(6)]


def table(shares=(0.0, 0.1), models=("PEN", "shared"), targets=("valence",), seed=0, gap=0.2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    lines = []
    for target in targets:
        for share in shares:
            level = rng.normal(0.5, 0.1, size=len(PERSONS))
            for place, model in enumerate(models):
                for person, value in zip(PERSONS, level + share + place * -gap, strict=True):
                    noise = 0.01 * rng.normal()
                    lines.append((model, target, "ccc", share, person, value + noise, 10))
    columns = ["model", "target", "metric", "share", "person", "value", "rows"]
    other = pd.DataFrame([("PEN", targets[0], "rmse", 0.0, "Z0", 3.0, 10)], columns=columns)
    return pd.concat([pd.DataFrame(lines, columns=columns), other], ignore_index=True)


def curve(scores, metric="ccc", **options):
    return adaptation_curve(scores, metric, rng=np.random.default_rng(1), **({"resamples": 999} | options))


@pytest.fixture(autouse=True)
def few_persons():
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToolkitWarning)
        yield


def test_means_are_those_over_persons():
    scores = table(targets=("valence", "arousal"))
    found = curve(scores).to_frame()
    expected = scores.query("metric == 'ccc'").groupby(["target", "share", "model"])["value"].mean()
    assert len(found) == len(expected) == 8
    for line in found.itertuples():
        assert line.value == pytest.approx(expected[line.target, line.share, line.model])
        assert line.low < line.value < line.high
        assert line.persons == 6
    assert found["target"].unique().tolist() == ["valence", "arousal"]
    assert list(found.columns) == ["model", "target", "metric", "share", "value", "low", "high", "persons", "marks"]


def test_a_person_without_the_metric_is_left_out_of_the_mean():
    scores = table()
    scores.loc[(scores["person"] == "Z2") & (scores["model"] == "PEN") & (scores["share"] == 0.1), "value"] = np.nan
    found = curve(scores).to_frame().set_index(["model", "share"])
    assert found.loc[("PEN", 0.1), "persons"] == 5
    assert found.loc[("PEN", 0.0), "persons"] == 6
    mine = scores.query("metric == 'ccc' and model == 'PEN' and share == 0.1")["value"]
    assert found.loc[("PEN", 0.1), "value"] == pytest.approx(mine.mean())


def test_marks_say_who_is_beaten():
    found = curve(table()).to_frame()
    assert (found.loc[found["model"] == "shared", "marks"] == "a").all()
    assert (found.loc[found["model"] == "PEN", "marks"] == "").all()


def test_every_share_sees_the_same_resamples():
    scores = table(shares=(0.0, 0.1))
    same = pd.concat([scores.query("share == 0"), scores.query("share == 0 and metric == 'ccc'").assign(share=0.1)])
    found = curve(same).to_frame()
    first, second = (found.query(f"share == {share}")[["low", "high"]].to_numpy() for share in (0.0, 0.1))
    np.testing.assert_array_equal(first, second)


def test_clusters_are_kept_together():
    scores = table(gap=0.0)
    together = {person: f"family {k // 2}" for k, person in enumerate(PERSONS)}
    by_person, by_family = curve(scores), curve(scores, unit=together, unit_name="families")
    alone = curve(scores, unit={person: person for person in PERSONS})
    wide = [found.to_frame()[["low", "high"]].to_numpy() for found in (by_person, by_family, alone)]
    assert not np.array_equal(wide[0], wide[1])
    assert by_family.unit_name == "families"
    assert "families" in by_family.apa()
    assert by_person.unit_name == "persons"
    nobody = curve(scores, unit={})  # who has no cluster is one of their own
    assert np.array_equal(nobody.to_frame()[["low", "high"]].to_numpy(), wide[2])


def test_persons_who_are_alike_within_clusters_widen_the_interval():
    rng = np.random.default_rng(2)
    family = {f"Z{k:02d}": f"family {k // 3}" for k in range(30)}
    level = dict(zip(dict.fromkeys(family.values()), rng.normal(size=10), strict=True))
    lines = [
        (model, "valence", "ccc", 0.0, person, level[own] + 0.01 * rng.normal(), 10)
        for model in ("PEN", "shared")
        for person, own in family.items()
    ]
    alike = pd.DataFrame(lines, columns=table().columns)
    width = [
        float(point.comparison.high[0, 0] - point.comparison.low[0, 0])
        for point in (curve(alike, unit=unit).points[0] for unit in (None, family))
    ]
    assert width[1] > 1.4 * width[0]


def test_a_model_that_starts_anew_has_no_point_at_share_zero():
    scores = table(models=("PEN", "shared", "t-PEN"))
    scores = scores[~((scores["model"] == "t-PEN") & (scores["share"] == 0))]
    found = curve(scores)
    assert [point.models for point in found.points] == [("PEN", "shared"), ("PEN", "shared", "t-PEN")]


def test_one_model_and_one_that_starts_anew():
    """At share 0 there is nothing to compare with, and the curve goes on from there."""
    scores = table(models=("PEN", "t-PEN"))
    scores = scores[~((scores["model"] == "t-PEN") & (scores["share"] == 0))]
    found = curve(scores).to_frame()
    assert set(found.query("share == 0.1")["model"]) == {"PEN", "t-PEN"}


def test_a_metric_nobody_has():
    with pytest.raises(DataError, match="E124: no model has this metric"):
        curve(table(), "krippendorff_alpha")


def test_one_model_alone():
    with pytest.raises(DataError, match="E124: one model alone cannot be compared"):
        curve(table(models=("PEN",)))


def test_a_missing_column():
    with pytest.raises(DataError, match="E103: the table has no column share, value"):
        curve(table().drop(columns=["share", "value"]))


def test_the_sentences():
    scores = table(shares=(0.0, 0.1))
    found = curve(scores)
    means = scores.query("metric == 'ccc'").groupby(["share", "model"])["value"].mean().round(2)
    shown = {key: f"{value:.2f}".replace("0.", ".") for key, value in means.items()}
    assert found.text().replace(" 0.", " .") == (
        "6 new persons; the first rows of each person adapt, the last half is predicted. Mean concordance correlation "
        f"per person for valence, by share of rows adapted to: 0%: PEN {shown[0.0, 'PEN']}, shared "
        f"{shown[0.0, 'shared']} (a clear difference); 10%: PEN {shown[0.1, 'PEN']}, shared {shown[0.1, 'shared']} "
        "(a clear difference)."
    )
    said = found.apa()
    assert said.startswith("After adapting to 0% of the rows: ")
    assert "After adapting to 10% of the rows: " in said
    assert said.count("95% CI") == 2
    two = curve(table(targets=("valence", "arousal"))).apa()
    assert two.startswith("valence, after adapting to 0%")
    assert "arousal, after adapting to 10% of the rows" in two


def test_a_summary_is_plain_values():
    import json

    found = curve(table())
    kept = json.loads(json.dumps(found.summary(), default=float))
    assert (kept["metric"], kept["design"], kept["persons"], kept["unit"]) == ("ccc", "time", 6, "persons")
    assert len(kept["means"]) == 4
    assert [entry["share"] for entry in kept["comparisons"]] == [0.0, 0.1]
    assert curve(table(), design="random").text().startswith("6 new persons; rows drawn at random adapt")
