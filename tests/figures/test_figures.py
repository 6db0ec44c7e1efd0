"""The data drawn, not pixels; every figure can be drawn both ways, and says in words what it shows."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from example_run import CRF_PARAMETERS, STATES, example_frames

from analyses.figures import (
    base_rates,
    baseline_scatter,
    caterpillar,
    effect_distributions,
    group_matrices,
    interval_matrix,
    matrix_panels,
    model_alpha,
    null_distribution,
    person_matrix,
    person_series,
    training_curve,
)
from analyses.figures.labels import is_transition, number, parameter_label, screen_text, signed
from analyses.figures.print_style import MM_PER_INCH, figure_bytes, inline_svg, with_ids
from analyses.hsic import hsic_test
from analyses.transitions import compare_transitions

EVIL = "<script>alert(1)</script> $x$"


@pytest.fixture(scope="module")
def crf():
    return example_frames(persons=24)


@pytest.fixture(scope="module")
def mlp():
    return example_frames(model="nme-mlp", persons=24)


@pytest.fixture(scope="module")
def hsic():
    rng = np.random.default_rng(5)
    return hsic_test(rng.normal(size=(30, 4)), np.repeat([0, 1], 15), permutations=199, rng=rng)


@pytest.fixture(scope="module")
def comparison():
    rng = np.random.default_rng(6)
    matrices = rng.dirichlet(np.ones(4), (30, 4))
    group = np.repeat([True, False], [12, 18])
    matrices[group, 1] = [0.1, 0.1, 0.1, 0.7]
    matrices[group] += rng.normal(0, 1e-3, (12, 4, 4))
    return compare_transitions(
        np.clip(matrices, 0, 1), group, resamples=199, rng=rng, states=STATES, group_names=("ill", "well")
    )


@pytest.fixture(scope="module")
def frames(crf, mlp, hsic, comparison):
    rows = caterpillar.tidy(crf.random_effects, crf.persons, CRF_PARAMETERS[1])
    alpha = pd.DataFrame({"model": ["a", "b"], "pooled": [0.4, np.nan], "mean_per_person": [0.3, -0.1]})
    counts = pd.DataFrame({"state": ["x", "y"] * 2, "group": ["g", "g", "h", "h"], "count": [30, 70, 50, 50]})
    return {
        caterpillar: rows,
        effect_distributions: effect_distributions.tidy(rows),
        person_matrix: person_matrix.tidy(crf.transitions, crf.persons["person"].iloc[3]),
        null_distribution: null_distribution.tidy(hsic),
        interval_matrix: interval_matrix.tidy(comparison),
        group_matrices: group_matrices.tidy(comparison),
        training_curve: training_curve.tidy(crf.trace),
        baseline_scatter: baseline_scatter.tidy(mlp.random_effects, mlp.persons, "layers.2.bias"),
        model_alpha: model_alpha.tidy(alpha),
        base_rates: base_rates.tidy(counts),
        person_series: person_series.tidy(mlp.predictions, mlp.persons["person"].iloc[3]),
    }


def test_every_figure_draws_and_speaks(frames) -> None:
    for module, frame in frames.items():
        drawn = module.print_figure(frame)
        assert drawn.get_size_inches()[0] * MM_PER_INCH == pytest.approx(drawn.get_size_inches()[0] * 25.4)
        assert len(module.screen(frame).data) > 0, module.__name__
        assert re.search(r"\d", module.alt_text(frame)), module.__name__
        assert module.alt_text(frame).endswith("."), module.__name__


@pytest.mark.slow
def test_print_text_is_at_least_six_points_and_fonts_are_embedded(frames) -> None:
    for module, frame in frames.items():
        drawn = module.print_figure(frame)
        pdf = figure_bytes(drawn, "pdf")
        assert b"/Type3" not in pdf, module.__name__
        sizes = [text.get_fontsize() for text in drawn.findobj(lambda item: hasattr(item, "get_fontsize"))]
        assert min(sizes) >= 6, module.__name__


def test_svg_keeps_text_and_no_id_is_shared(frames) -> None:
    svg = inline_svg(frames_figure := caterpillar.print_figure(frames[caterpillar]))
    assert svg.startswith("<svg")
    assert "Persons, sorted" in svg
    assert "<metadata>" not in svg
    first, second = (set(re.findall(r'\bid="([^"]+)"', with_ids(svg, prefix))) for prefix in ("a", "b"))
    assert first
    assert not first & second
    used = set(re.findall(r"url\(#([^)]+)\)", with_ids(svg, "a")))
    assert used <= first
    assert figure_bytes(frames_figure, "svg") == figure_bytes(frames_figure, "svg")


def test_unknown_format_is_refused(frames) -> None:
    with pytest.raises(ValueError, match="svg, png, pdf"):
        figure_bytes(caterpillar.print_figure(frames[caterpillar]), "bmp")


def test_caterpillar_sorts_and_colours_by_group(crf) -> None:
    frame = caterpillar.tidy(crf.random_effects, crf.persons, CRF_PARAMETERS[1])
    assert frame["estimate"].is_monotonic_increasing
    assert len(frame) == 24
    figure = caterpillar.screen(frame)
    assert [trace.name for trace in figure.data] == ["depressed (7)", "not depressed (17)"]
    assert len({trace.marker.color for trace in figure.data}) == 2
    assert len({trace.marker.symbol for trace in figure.data}) == 2
    drawn = np.concatenate([np.asarray(trace.y) for trace in figure.data])
    assert sorted(drawn) == pytest.approx(sorted(frame["estimate"]))
    by_group = caterpillar.tidy(crf.random_effects, crf.persons, CRF_PARAMETERS[1], order="group")
    assert by_group["group"].is_monotonic_increasing
    sure = caterpillar.tidy(crf.random_effects, crf.persons, CRF_PARAMETERS[1], order="certainty")
    assert sure["reliability"].is_monotonic_decreasing
    with pytest.raises(ValueError, match="order"):
        caterpillar.tidy(crf.random_effects, crf.persons, CRF_PARAMETERS[1], order="mood")


def test_pseudonyms_are_drawn_only_when_asked_for(crf) -> None:
    frame = caterpillar.tidy(crf.random_effects, crf.persons, CRF_PARAMETERS[1])
    person = frame["person"].iloc[0]
    assert person not in caterpillar.screen(frame).to_json()
    assert person in caterpillar.screen(frame, names=True).to_json()


def test_distribution_shows_every_person_once(frames) -> None:
    frame = frames[effect_distributions]
    figure = effect_distributions.screen(frame)
    assert sum(len(trace.y) for trace in figure.data) == 24
    assert frame.groupby("group")["n"].first().to_dict() == {"depressed": 7, "not depressed": 17}
    assert frame["offset"].abs().max() < 0.5


def test_person_matrix_marks_cells_without_observations(crf) -> None:
    person = crf.persons["person"].iloc[0]
    rows = crf.transitions[crf.transitions["person"] == person]
    frame = person_matrix.tidy(crf.transitions, person)
    never = int((rows["observed"] == 0).sum())
    assert never > 0
    assert frame[frame["panel"] == person_matrix.GENERIC]["unobserved"].sum() == 0
    figure = person_matrix.screen(frame)
    hatched = [shape for shape in figure.layout.shapes if shape.name == "no observation"]
    assert len(hatched) == 3 * 3 * never
    difference = frame[frame["panel"] == person_matrix.DIFFERENCE]["value"].to_numpy()
    assert difference == pytest.approx((rows["probability"] - rows["generic"]).to_numpy())
    own = np.asarray(figure.data[0].z)
    assert own.sum(axis=1) == pytest.approx(np.ones(4))
    with pytest.raises(KeyError):
        person_matrix.tidy(crf.transitions, "nobody")


def test_difference_colours_are_centred_at_zero_and_not_stretched(crf) -> None:
    frame = person_matrix.tidy(crf.transitions, crf.persons["person"].iloc[3])
    low, high = matrix_panels.limits(frame, "difference")
    assert low == -high
    tiny = frame.assign(value=frame["value"] * 1e-4)
    assert matrix_panels.limits(tiny, "difference") == (-0.10, 0.10)


def test_null_distribution_counts_what_the_p_value_counts(hsic) -> None:
    frame = null_distribution.tidy(hsic)
    assert frame["count"].sum() == 199
    reached = frame.loc[frame["beyond"], "count"].sum()
    assert (reached + 1) / 200 == pytest.approx(hsic.pvalue)
    assert np.isclose(frame["left"], hsic.statistic).any() or np.isclose(frame["right"], hsic.statistic).any()


def test_null_distribution_without_any_spread() -> None:
    flat = SimpleNamespace(null=np.zeros(99), statistic=0.0, pvalue=1.0)
    frame = null_distribution.tidy(flat)
    assert frame.loc[frame["beyond"], "count"].sum() == 99
    null_distribution.screen(frame)
    null_distribution.print_figure(frame)


def test_null_distribution_far_beyond_every_permutation() -> None:
    far = SimpleNamespace(null=np.linspace(0, 1, 99), statistic=5.0, pvalue=0.01)
    frame = null_distribution.tidy(far)
    assert frame["count"].sum() == 99
    assert frame.loc[frame["beyond"], "count"].sum() == 0


def test_interval_matrix_is_in_percentage_points(comparison) -> None:
    frame = interval_matrix.tidy(comparison)
    cell = frame[(frame["from_state"] == STATES[1]) & (frame["to_state"] == STATES[3])].iloc[0]
    assert cell["difference"] == pytest.approx(100 * comparison.difference[1, 3])
    assert cell["verdict"] == interval_matrix.CLEAR
    figure = interval_matrix.screen(frame)
    dots = next(trace for trace in figure.data if trace.name == "difference")
    assert len(dots.x) == 16
    scale = interval_matrix.half_range(frame)
    index = list(zip(frame["from_state"], frame["to_state"], strict=True)).index((STATES[1], STATES[3]))
    assert (dots.x[index] - 3) * scale / interval_matrix.HALF == pytest.approx(cell["difference"])
    grounds = {shape.fillcolor for shape in figure.layout.shapes if shape.type == "rect"}
    assert interval_matrix.GROUND[interval_matrix.CLEAR] in grounds


def test_interval_matrix_of_cells_that_were_not_compared(comparison) -> None:
    frame = interval_matrix.tidy(comparison)
    frame.loc[0, list(interval_matrix.NUMBERS)] = np.nan
    interval_matrix.screen(frame)
    interval_matrix.print_figure(frame)
    assert "nan" not in interval_matrix.alt_text(frame)


def test_group_means_and_difference_agree(comparison) -> None:
    frame = group_matrices.tidy(comparison)
    panels = list(dict.fromkeys(frame["panel"]))
    assert panels[:2] == ["ill (n = 12)", "well (n = 18)"]
    first, second, difference = (frame[frame["panel"] == panel]["value"].to_numpy() for panel in panels)
    assert difference == pytest.approx(first - second)


def test_series_of_one_person_only(mlp) -> None:
    person = mlp.persons["person"].iloc[3]
    frame = person_series.tidy(mlp.predictions, person)
    rows = mlp.predictions[mlp.predictions["person"] == person]
    assert len(frame) == 3 * len(rows)
    drawn = next(trace for trace in person_series.screen(frame).data if trace.name == "observed")
    assert np.asarray(drawn.y) == pytest.approx(rows["truth"].to_numpy())


def test_shares_add_up_within_a_group(frames) -> None:
    assert frames[base_rates].groupby("group")["share"].sum().to_numpy() == pytest.approx([1, 1])


def test_labels_are_never_read_as_markup(crf) -> None:
    persons = crf.persons.assign(group=EVIL)
    frame = caterpillar.tidy(crf.random_effects, persons, CRF_PARAMETERS[1])
    assert "<script>" not in caterpillar.screen(frame).to_json()
    svg = inline_svg(caterpillar.print_figure(frame))
    assert "<script>" not in svg
    assert "&lt;script&gt;" in svg
    renamed = crf.transitions.assign(from_state=EVIL, to_state=crf.transitions["to_state"])
    assert screen_text(EVIL).startswith("&lt;script")
    assert len(renamed) == len(crf.transitions)


def test_words_for_parameters_and_numbers() -> None:
    assert parameter_label("transitions[positive,other]") == "positive → other"
    assert parameter_label("layers.2.bias") == "level (bias), layer 3"
    assert parameter_label("layers.2.bias[calm]") == "level (bias) of calm, layer 3"
    assert parameter_label("layers.0.bias") == "average level"
    assert parameter_label("layers.0.bias[mood]") == "average level of mood"
    assert parameter_label("layers.0.bias[3]") == "level (bias) 3, layer 1"
    assert parameter_label("layers.0.weight[sleep]") == "slope of sleep"
    assert parameter_label("layers.0.weight[mood,sleep]") == "slope of sleep on mood"
    assert parameter_label("layers.0.weight[3,sleep]") == "weight 3,sleep, layer 1"
    assert parameter_label("head.weight[valence,x]") == "weight x on valence"
    assert parameter_label("head.bias[valence]") == "level (bias) of valence"
    assert parameter_label("head.bias") == "level (bias)"
    assert parameter_label("head.weight[x]") == "weight x"
    assert parameter_label("layers.2.weight[3]") == "weight 3, layer 3"
    assert parameter_label("something.else") == "something.else"
    assert is_transition("transitions[a,b]")
    assert not is_transition("layers.2.bias")
    assert number(-0.001) == "0.00"
    assert signed(-2.84) == "−2.8"
    assert signed(0.3) == "+0.3"
    assert number(float("nan")) == "–"


def test_importing_figures_imports_no_plotting_library() -> None:
    import subprocess
    import sys

    code = (
        "import sys, analyses.figures.caterpillar, analyses.figures.matrix_panels, analyses.figures.print_style;"
        "assert 'plotly' not in sys.modules and 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
