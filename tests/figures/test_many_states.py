"""Labels of 300 letters and forty states: still on the paper, still readable, the full text in table and words."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from drawn import faults
from example_run import example_frames

from analyses.figures import (
    baseline_scatter,
    caterpillar,
    effect_distributions,
    effect_forest,
    effect_ridges,
    group_matrices,
    group_persons,
    interval_matrix,
    sequence_index,
    state_shares,
    transition_network,
)
from analyses.figures.matrix_print import plan
from analyses.figures.presets import Sheet
from analyses.figures.print_room import cut, cut_apart, text_mm, wrapped
from analyses.figures.print_style import print_settings
from analyses.transitions import compare_transitions

LONG = "Ж" * 60 + " a very long label " * 13
SIZES = (89.0, 183.0)


def comparison(states: list[str], groups: tuple[str, str] = ("ill", "well")):
    size = len(states)
    rng = np.random.default_rng(4)
    matrices = rng.dirichlet(np.ones(size), (30, size))
    return compare_transitions(matrices, np.arange(30) < 14, resamples=99, rng=rng, states=states, group_names=groups)


@pytest.mark.parametrize("width", [89.0, pytest.param(183.0, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "count", [2, pytest.param(12, marks=pytest.mark.slow), pytest.param(40, marks=pytest.mark.slow)]
)
def test_comparisons_of_many_states(count: int, width: float) -> None:
    states = [f"state number {k}" for k in range(count)]
    found = comparison(states)
    for module in (interval_matrix, group_matrices, effect_forest):
        frame = module.tidy(found)
        assert faults(Sheet(figure=module.print_figure(frame, width_mm=width), enlarged=1.0)) == [], module.__name__
        module.screen(frame)
    network = transition_network.tidy({"ill": found.mean_true}, states, difference=found.difference)
    drawn = transition_network.print_figure(network, width_mm=width)
    assert faults(Sheet(figure=drawn, enlarged=1.0)) == []


@pytest.mark.slow
@pytest.mark.parametrize("width", SIZES)
def test_comparisons_with_long_labels(width: float) -> None:
    states = [f"{LONG} {k}" for k in range(4)]
    found = comparison(states, (f"{LONG} one", f"{LONG} two"))
    for module in (interval_matrix, group_matrices, effect_forest):
        frame = module.tidy(found)
        assert faults(Sheet(figure=module.print_figure(frame, width_mm=width), enlarged=1.0)) == [], module.__name__
        assert LONG.strip() in module.alt_text(frame)
        assert set(frame["from_state"]) == set(states)
    network = transition_network.tidy({LONG: found.mean_true}, states)
    drawn = transition_network.print_figure(network, width_mm=width)
    assert faults(Sheet(figure=drawn, enlarged=1.0)) == []


@pytest.mark.slow
@pytest.mark.parametrize("width", SIZES)
def test_figures_of_persons_with_long_group_names(width: float) -> None:
    names = {"depressed": f"{LONG} one", "not depressed": f"{LONG} two"}
    crf, mlp = example_frames(persons=30), example_frames(model="nme-mlp", persons=30)
    persons = crf.persons.assign(group=crf.persons["group"].map(names))
    rows = caterpillar.tidy(crf.random_effects, persons, str(crf.random_effects["parameter"].iloc[0]))
    states = tuple(dict.fromkeys(crf.transitions["from_state"]))
    frames = {
        caterpillar: rows,
        effect_distributions: effect_distributions.tidy(rows),
        effect_ridges: effect_ridges.tidy([rows]),
        group_persons: group_persons.tidy(crf.transitions, persons),
        sequence_index: sequence_index.tidy(crf.predictions, persons, states),
        state_shares: state_shares.tidy(crf.predictions, persons, states, fewest=1),
        baseline_scatter: baseline_scatter.tidy(
            mlp.random_effects, mlp.persons.assign(group=mlp.persons["group"].map(names)), "layers.2.bias"
        ),
    }
    for module, frame in frames.items():
        figure = module.print_figure(frame, width_mm=width)
        assert faults(Sheet(figure=figure, enlarged=1.0)) == [], module.__name__
        module.screen(frame)


@pytest.mark.slow
def test_sequences_and_shares_of_forty_states() -> None:
    frames = example_frames(persons=30)
    names = [f"state number {k}" for k in range(40)]
    rng = np.random.default_rng(2)
    predictions = frames.predictions.assign(truth=rng.choice(names, len(frames.predictions)))
    for module, frame in (
        (sequence_index, sequence_index.tidy(predictions, frames.persons, names)),
        (state_shares, state_shares.tidy(predictions, frames.persons, names, fewest=1)),
    ):
        assert len(set(frame["state"])) == 8
        assert "all other states (33)" in module.alt_text(frame)
        figure = module.print_figure(frame, width_mm=89.0)
        assert faults(Sheet(figure=figure, enlarged=1.0)) == []


def test_numbers_are_dropped_where_they_would_not_fit_and_names_thinned() -> None:
    few, many = (group_matrices.tidy(comparison([f"s{k}" for k in range(count)])) for count in (4, 40))
    with print_settings():
        assert plan(few, 183.0).numbers
        assert plan(few, 183.0).columns == 3
        wide, narrow = plan(many, 183.0), plan(many, 89.0)
    assert not wide.numbers
    assert wide.every >= 2
    assert wide.every * wide.cell_mm >= 2.5
    assert narrow.columns == 1


def test_the_map_of_many_states_marks_what_is_clear() -> None:
    frame = interval_matrix.tidy(comparison([f"s{k}" for k in range(9)]))
    panel = interval_matrix.difference_map(frame)
    assert (panel["text"] == "•").sum() == (frame["verdict"] == interval_matrix.CLEAR).sum()
    assert panel["value"].to_numpy() == pytest.approx(frame["difference"] / 100)


def test_labels_are_cut_to_a_width_and_stay_apart() -> None:
    with print_settings():
        assert cut("short", 40.0) == "short"
        short = cut(LONG, 20.0)
        assert short.endswith("…")
        assert text_mm(short) <= 20.0
        names = cut_apart([LONG + "a", LONG + "b", "other"], 25.0)
        assert len(set(names)) == 3
        assert names[2] == "other"
        assert max(text_mm(name) for name in names) <= 25.5
        lines = wrapped("a group with a name (n = 26)", 22.0).splitlines()
        assert len(lines) == 2
        assert "(n\u00a0=\u00a026)" in lines[1]
        assert max(text_mm(line) for line in wrapped(LONG, 30.0, lines=3).splitlines()) <= 30.0


def test_panels_of_matrices_need_no_comparison() -> None:
    frame = pd.DataFrame(
        {"panel": "only", "from_state": ["a", "a", "b", "b"], "to_state": ["a", "b"] * 2, "value": [0.1, 0.9, 0.5, 0.5],
         "text": "", "kind": "probability", "unobserved": False}
    )  # fmt: skip
    with print_settings():
        assert SimpleNamespace(numbers=plan(frame, 60.0).numbers).numbers is False
