"""Figures of models, studies and single cases: the data drawn, both drawings, words, and awkward input."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import study_frames as frames_of
from matplotlib.text import Text

from analyses.figures import (
    adaptation_curve,
    cell_drivers,
    covariate_slopes,
    gate_map,
    label_density,
    less_data,
    marked_case,
    model_comparison,
    person_comparison,
    plausible_differences,
    power_curve,
    specification_curve,
    stability,
    true_effects,
)
from analyses.figures.long_labels import broken, distinct, shortened
from analyses.figures.print_style import MM_PER_INCH, figure_bytes, inline_svg
from analyses.figures.series_styles import series_styles
from toolkit.errors import DataError

LONG = "a label of three hundred characters " * 9
EVIL = "<script>alert(1)</script> $x$"


@pytest.fixture(scope="module")
def frames():
    found = frames_of.RESULTS
    return {
        model_comparison: model_comparison.tidy(found.models()),
        less_data: less_data.tidy(found.learning()),
        specification_curve: specification_curve.tidy(found.choices()),
        power_curve: power_curve.tidy(found.power()),
        stability: stability.tidy(found.stable()),
        covariate_slopes: covariate_slopes.tidy(found.slopes()),
        cell_drivers: cell_drivers.tidy(found.drivers()),
        adaptation_curve: adaptation_curve.tidy(frames_of.adaptation()),
        plausible_differences: plausible_differences.tidy(
            frames_of.plausible(), summary={"group_names": ["ill", "well"], "draws": 20}
        ),
        gate_map: gate_map.tidy(frames_of.gates()),
        label_density: label_density.tidy(frames_of.ratings(), x_name="valence", y_name="arousal"),
        marked_case: marked_case.tidy(frames_of.effects(), "P03"),
        true_effects: true_effects.tidy(frames_of.truth()),
        person_comparison: person_comparison.tidy(frames_of.scores(), metric="ccc", first="SN", second="PEN"),
    }


@pytest.mark.parametrize(
    "width", [89.0, pytest.param(127.0, marks=pytest.mark.slow), pytest.param(183.0, marks=pytest.mark.slow)]
)
def test_every_figure_draws_at_journal_width_and_speaks(frames, width) -> None:
    for module, frame in frames.items():
        drawn = module.print_figure(frame, width_mm=width)
        assert drawn.get_size_inches()[0] * MM_PER_INCH == pytest.approx(width), module.__name__
        assert drawn.get_size_inches()[1] * MM_PER_INCH < 260, module.__name__
        sizes = [text.get_fontsize() for text in drawn.findobj(lambda item: hasattr(item, "get_fontsize"))]
        assert min(sizes) >= 6, module.__name__
        assert len(module.screen(frame).data) > 0, module.__name__
        assert re.search(r"\d", module.alt_text(frame)), module.__name__
        assert module.alt_text(frame).endswith("."), module.__name__


@pytest.mark.slow
def test_text_stays_text_and_fonts_are_embedded(frames) -> None:
    for module, frame in frames.items():
        drawn = module.print_figure(frame)
        assert b"/Type3" not in figure_bytes(drawn, "pdf"), module.__name__
        assert "<text" in inline_svg(drawn), module.__name__


@pytest.mark.slow
def test_frames_without_rows_draw_and_say_so(frames) -> None:
    for module, frame in frames.items():
        empty = frame.iloc[:0]
        assert module.alt_text(empty).endswith("."), module.__name__
        figure_bytes(module.print_figure(empty), "pdf")
        module.screen(empty)


@pytest.mark.slow
def test_labels_are_never_read_as_markup(frames) -> None:
    for module, columns in (
        (less_data, ["series", "model"]),
        (adaptation_curve, ["series", "panel"]),
        (model_comparison, ["row", "block"]),
        (gate_map, ["expert", "split"]),
        (label_density, ["part", "x_name"]),
        (person_comparison, ["first_name", "second_name"]),
        (true_effects, ["label"]),
        (marked_case, ["label", "case_name"]),
        (specification_curve, ["states"]),
        (cell_drivers, ["from_state", "unit_name"]),
    ):
        frame = frames[module].copy()
        for column in columns:
            frame[column] = EVIL
        if module in (gate_map, label_density):
            frame = frame.drop_duplicates([name for name in ("row", "column", "kind", "x", "y") if name in frame])
        assert "<script>" not in module.screen(frame).to_json().replace("\\u003c", "<"), module.__name__
        figure_bytes(module.print_figure(frame), "pdf")


@pytest.mark.slow
def test_labels_of_three_hundred_characters_leave_room_for_the_data(frames) -> None:
    for module, column in (
        (less_data, "series"), (adaptation_curve, "panel"), (model_comparison, "row"), (stability, "row"),
        (gate_map, "expert"), (label_density, "part"), (person_comparison, "first_name"), (true_effects, "label"),
        (marked_case, "label"), (specification_curve, "kernel"), (cell_drivers, "true_name"),
    ):  # fmt: skip
        frame = frames[module].copy()
        frame[column] = frame[column].astype(str) + LONG
        if module is cell_drivers:
            frame["group"] = frame["group"].replace("ill", "ill" + LONG)
        drawn = module.print_figure(frame, width_mm=127.0)
        figure_bytes(drawn, "pdf")
        widest = max(axes.get_position().width for axes in drawn.axes if axes.get_visible())
        assert widest > 0.12, module.__name__
        texts = [text.get_text() for text in drawn.findobj(Text)]
        assert all(len(line) < 200 for text in texts for line in str(text).split("\n")), module.__name__
        module.screen(frame)


def test_model_comparison_shows_means_marks_and_differences_from_the_best(frames) -> None:
    frame, result = frames[model_comparison], frames_of.models()
    means = frame[(frame["panel"] == model_comparison.MEAN) & (frame["metric"] == "krippendorff_alpha")]
    assert list(means["value"]) == pytest.approx(list(result.means[0]))
    assert (means["low"] < means["value"]).all()
    assert (means["high"] > means["value"]).all()
    assert list(means["marks"]) == ["bc", "c", ""]
    assert set(frame["reference"]) == {"NME-CRF"}
    gaps = frame[(frame["panel"] == model_comparison.DIFFERENCE) & (frame["metric"] == "rmse")].set_index("model")
    assert gaps.loc["Generic-CRF", "value"] == pytest.approx(result.means[1, 0] - result.means[1, 2])
    assert gaps.loc["Generic-CRF", "low"] < gaps.loc["Generic-CRF", "value"] < gaps.loc["Generic-CRF", "high"]
    assert np.isnan(gaps.loc["NME-CRF", "value"])
    assert "clearly better than Generic-CRF and Specific-CRF" in model_comparison.alt_text(frame)


def test_a_model_named_as_reference_is_the_one_of_all_differences() -> None:
    frame = model_comparison.tidy(frames_of.models(), reference="Generic-CRF")
    gaps = frame[(frame["panel"] == model_comparison.DIFFERENCE) & (frame["metric"] == "krippendorff_alpha")]
    assert (gaps["value"].dropna() > 0).all()
    assert gaps["clear"].sum() == 2


@pytest.mark.slow
def test_twenty_six_models_are_drawn() -> None:
    frame = model_comparison.tidy(frames_of.models(tuple(f"model {k}" for k in range(12))))
    figure_bytes(model_comparison.print_figure(frame), "pdf")
    assert frame["letter"].nunique() == 12


def test_less_data_has_a_line_per_model_with_intervals_and_marks(frames) -> None:
    frame = frames[less_data]
    assert list(frame.loc[frame["model"] == "Generic-CRF", "x"]) == [0.25, 0.5, 1.0]
    assert (frame["low"] < frame["value"]).all()
    assert set(frame["mark"]) == {"", "a < b"}
    drawn = less_data.screen(frame)
    assert [trace.name for trace in drawn.data] == ["a Generic-CRF", "b Specific-CRF"]
    assert list(drawn.data[0].y) == pytest.approx(list(frame["value"].head(3)))
    assert "clearly at 25%, 50% and 100%" in less_data.alt_text(frame)


def test_a_table_kept_before_there_were_intervals_is_drawn_without() -> None:
    table = frames_of.learning().to_frame().drop(columns=["low", "high"])
    frame = less_data.tidy(table, metric="ccc")
    assert frame["low"].isna().all()
    figure_bytes(less_data.print_figure(frame), "pdf")


def test_specifications_are_sorted_and_keep_only_choices_that_vary(frames) -> None:
    frame, result = frames[specification_curve], frames_of.choices()
    assert len(frame) == len(result.specifications)
    assert frame["effect"].is_monotonic_increasing
    assert "value" not in frame
    assert {"states", "kernel", "bandwidth", "diagonal", "unit"} <= set(frame.columns)
    assert frame["significant"].sum() == int((result.pvalue < result.alpha).sum())
    assert ("bandwidth", "0.5 × median") in specification_curve.choices(frame)


@pytest.mark.slow
def test_power_has_both_tests_and_the_level_wanted(frames) -> None:
    frame, result = frames[power_curve], frames_of.power()
    alone = frame[frame["panel"] == power_curve.TESTS["cell"]].sort_values(["x", "transitions"])
    assert list(alone["value"]) == pytest.approx(list(result.cell_power))
    assert frame["panel"].nunique() == 2
    drawn = power_curve.screen(frame)
    assert any(shape.y0 == 0.8 for shape in drawn.layout.shapes)
    assert "positive → aggressive" in power_curve.alt_text(frame)


@pytest.mark.slow
def test_power_without_hsic_has_one_panel() -> None:
    table = frames_of.power().to_frame().assign(hsic_power=np.nan)
    assert power_curve.tidy(table, summary=frames_of.power().summary())["panel"].nunique() == 1


def test_stability_sorts_within_kinds_and_opens_the_unstable_ones(frames) -> None:
    frame, result = frames[stability], frames_of.stable()
    assert list(dict.fromkeys(frame["block"])) == ["Levels and weights", *stability.KINDS.values()] or set(
        frame["block"]
    ) == {"Levels and weights", *stability.KINDS.values()}
    icc = frame[frame["measure"] == stability.ICC]
    assert set(icc["parameter"]) == set(result.parameters)
    assert icc["stable"].sum() == sum(result.stable)
    for _, part in icc.groupby("block"):
        assert part["value"].is_monotonic_decreasing
    assert set(frame["panel"]) == {"icc", "cs"}


@pytest.mark.slow
def test_forty_states_keep_the_least_stable_cells() -> None:
    names = [f"probability[s{a},s{b}]" for a in range(40) for b in range(40)]
    table = pd.DataFrame({"parameter": names, "stable": True, "icc": np.linspace(0.5, 1, 1600), "cs": np.nan})
    table = table.assign(icc_low=table["icc"] - 0.1, icc_high=table["icc"], reason="")
    frame = stability.tidy(table)
    assert len(frame) == stability.MOST
    assert frame["value"].max() < 0.51
    assert "1580 most stable ones are not drawn" in stability.alt_text(frame)
    figure_bytes(stability.print_figure(frame), "pdf")


def test_slopes_are_in_points_per_step_and_marked_when_clear(frames) -> None:
    frame, result = frames[covariate_slopes], frames_of.slopes()
    assert list(frame["value"]) == pytest.approx(list(100 * result.slope.ravel()))
    assert frame.loc[0 * 4 + 1, "clear"]
    assert "10 more of age" in covariate_slopes.alt_text(frame)
    assert list(dict.fromkeys(frame["block"])) == [f"From {state}" for state in frames_of.STATES]


def test_slopes_of_forty_states_show_the_forty_clearest() -> None:
    rng = np.random.default_rng(0)
    states = [f"s{k}" for k in range(40)]
    table = pd.DataFrame([(a, b) for a in states for b in states], columns=["from_state", "to_state"])
    for name in ("slope", "low", "high", "low_simultaneous", "high_simultaneous"):
        table[name] = rng.normal(0, 0.1, len(table))
    table["pvalue"] = rng.random(len(table))
    frame = covariate_slopes.tidy(table, covariate="age")
    assert len(frame) == covariate_slopes.MOST
    assert frame["pvalue"].max() <= np.sort(table["pvalue"])[40]
    assert "40 of 1600 are drawn" in covariate_slopes.alt_text(frame)


def test_plausible_values_stand_beside_estimates_at_face_value(frames) -> None:
    frame = frames[plausible_differences]
    face, pooled = (
        frame[frame["panel"] == name] for name in (plausible_differences.FACE, plausible_differences.POOLED)
    )
    assert len(face) == len(pooled) == 15
    assert list(pooled["value"]) == pytest.approx(list(2 * face["value"]))
    assert face["clear"].sum() == 1
    assert not pooled["clear"].any()
    said = plausible_differences.alt_text(frame)
    assert "ill minus well" in said
    assert "positive to aggressive, +10.0 percentage points" in said


def test_drivers_mark_who_carries_most_and_leave_every_unit_out(frames) -> None:
    frame, result = frames[cell_drivers], frames_of.drivers()
    persons, units = (frame[frame["kind"] == kind] for kind in ("person", "unit"))
    assert persons.iloc[0]["person"] == "P29"
    assert persons.iloc[0]["marked"]
    assert persons["value"].max() == pytest.approx(60)
    assert sorted(units["value"]) == pytest.approx(sorted(100 * result.without.difference))
    assert units["value"].is_monotonic_increasing
    assert "P29" not in cell_drivers.screen(frame).to_json()
    assert "P29" in cell_drivers.screen(frame, names=True).to_json()


def test_adaptation_has_a_panel_per_target_and_metric_and_sorted_shares(frames) -> None:
    frame = frames[adaptation_curve]
    assert len(dict.fromkeys(frame["panel"])) == 4
    assert list(frame["x"].head(3)) == [0.0, 0.1, 0.5]
    drawn = adaptation_curve.screen(frame)
    assert len(drawn.data) == 8
    with pytest.raises(DataError, match="persons"):
        adaptation_curve.tidy(frames_of.adaptation().drop(columns="persons"))


def test_gate_map_sorts_persons_and_experts_into_a_staircase(frames) -> None:
    frame = frames[gate_map]
    wide = frame.pivot(index="row", columns="column", values="weight").to_numpy()
    assert list(wide.argmax(axis=1)) == list(range(6))
    assert "6 of 6 experts" in gate_map.alt_text(frame)
    drawn = gate_map.screen(frame)
    assert np.asarray(drawn.data[0].z).shape == (6, 6)
    assert "P0" not in drawn.to_json()


@pytest.mark.slow
def test_gate_map_of_forty_experts_and_of_one_person() -> None:
    for table in (frames_of.gates(60, 40), frames_of.gates(1, 9), frames_of.gates(3, 1)):
        frame = gate_map.tidy(table)
        figure_bytes(gate_map.print_figure(frame), "pdf")
        gate_map.screen(frame)
    twice = pd.concat([frames_of.gates(), frames_of.gates()])
    with pytest.raises(DataError, match="two weights"):
        gate_map.tidy(twice)


def test_density_regions_hold_their_share_and_persons_weigh_alike(frames) -> None:
    frame = frames[label_density]
    for part in ("source", "target"):
        xs, ys, mass = label_density.grids(frame, part)
        joint = frame[(frame["kind"] == "joint") & (frame["part"] == part)]
        inside = joint["density"][joint["mass"] <= 0.5].sum() / joint["density"].sum()
        assert inside == pytest.approx(0.5, abs=0.02)
        assert mass.shape == (len(ys), len(xs))
        margin = frame[(frame["kind"] == "x") & (frame["part"] == part)]
        assert np.trapezoid(margin["density"], margin["x"]) == pytest.approx(1, abs=0.03)
    many = pd.concat([frames_of.ratings()] + [frames_of.ratings().query("person == 'target0'")] * 20)
    once, often = label_density.tidy(frames_of.ratings()), label_density.tidy(many)
    ends = [found.loc[found["part"] == "target", "x_mean"].iloc[0] for found in (once, often)]
    assert ends[0] == pytest.approx(ends[1])


def test_density_of_one_person_or_one_value() -> None:
    one = frames_of.ratings().query("person == 'source0'")
    figure_bytes(label_density.print_figure(label_density.tidy(one)), "pdf")
    flat = one.assign(x=1.0, y=2.0)
    assert label_density.tidy(flat).empty


def test_marked_case_keeps_the_case_and_its_rank(frames) -> None:
    frame, table = frames[marked_case], frames_of.effects()
    own = frame[frame["kind"] == "case"].set_index("parameter")
    mine = table[table["level"] == "P03"].set_index("parameter")
    assert list(own["value"]) == pytest.approx(list(mine["estimate"]))
    bias = table[table["parameter"] == "layers.2.bias"]["estimate"]
    assert own.loc["layers.2.bias", "below"] == pytest.approx((bias < mine.loc["layers.2.bias", "estimate"]).mean())
    assert frame[frame["kind"] == "outline"].groupby("parameter")["height"].max().tolist() == pytest.approx([1, 1])
    assert "P03" not in marked_case.screen(frame).to_json()
    with pytest.raises(DataError, match="E124"):
        marked_case.tidy(table, "nobody")


@pytest.mark.slow
def test_marked_case_of_one_person_and_of_many_parameters() -> None:
    alone = marked_case.tidy(frames_of.effects(levels=1), "P00")
    figure_bytes(marked_case.print_figure(alone), "pdf")
    many = marked_case.tidy(frames_of.effects(tuple(f"w{k}" for k in range(60))), "P01")
    assert many["parameter"].nunique() == marked_case.MOST


def test_true_effects_say_how_well_they_were_recovered(frames) -> None:
    frame = frames[true_effects]
    each = frame.drop_duplicates("parameter")
    assert list(each["r"]) == pytest.approx([1, 1])
    assert list(each["rmse"]) == pytest.approx([0.1, 0.1])
    assert list(each["covered"]) == [1, 1]
    assert "hold the true effect in 100%" in true_effects.alt_text(frame)
    one = true_effects.tidy(frames_of.truth().head(1))
    assert "r not defined" in true_effects.words(one)
    figure_bytes(true_effects.print_figure(one), "pdf")


def test_persons_are_sorted_by_what_the_second_model_gains(frames) -> None:
    frame = frames[person_comparison]
    assert list(frame["person"]) == ["A", "C", "B"]
    assert list(frame["better"]) == ["first", "neither", "second"]
    assert list(frame["gain"]) == pytest.approx([-0.2, 0, 0.4])
    assert "1 person without a value" in person_comparison.alt_text(frame)
    assert "A" not in [
        word for trace in person_comparison.screen(frame).data for word in (trace.customdata or [[""]])[0]
    ]
    lower = person_comparison.tidy(frames_of.scores(), metric="rmse")
    assert list(lower["person"]) == ["B", "C", "A"]


def test_long_labels_are_cut_broken_and_kept_apart() -> None:
    assert shortened("abcdef", 4) == "abc…"
    assert shortened("abc", 4) == "abc"
    assert broken("one two three four", 8) == ["one two", "three f…"]
    assert distinct(["same start A", "same start B"], 8) == ["1: sam…", "2: sam…"]
    assert distinct(["a", "b"], 8) == ["a", "b"]


def test_ten_series_look_different() -> None:
    styles = series_styles(str(k) for k in range(10))
    assert len({(style.fill, style.symbol) for style in styles.values()}) == 10


def test_an_interval_that_leaves_its_value_out_by_a_last_digit_is_printed() -> None:
    table = frames_of.adaptation()
    table["low"] = table["high"] = np.nextafter(table["value"].to_numpy(dtype=float), np.inf)
    adaptation_curve.print_figure(adaptation_curve.tidy(table), width_mm=89.0)
