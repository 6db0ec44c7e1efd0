"""Figures that only the dashboard draws: cells to click, sequences behind a step, two-sided null distributions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analyses.figures import group_cells, interval_matrix, naive_block, null_distribution, sequence_snippets
from analyses.naive_block import naive_against_block
from analyses.transitions import compare_transitions

STATES = ("calm", "tense", "sad")


def matrix(seed: int) -> np.ndarray:
    raw = np.random.default_rng(seed).gamma(1.0, size=(3, 3))
    return raw / raw.sum(axis=1, keepdims=True)


def test_every_cell_carries_its_states_and_the_chosen_one_is_framed() -> None:
    first, second = matrix(1), matrix(2)
    frame = group_cells.tidy({"a": first, "b": second}, STATES, difference=("a minus b", first - second))
    figure = group_cells.screen(frame, chosen=("calm", "sad"))
    assert [trace.name for trace in figure.data] == ["a", "b", "a minus b"]
    trace = figure.data[2]
    assert [tuple(cell[:2]) for cell in trace.customdata] == [(a, b) for a in STATES for b in STATES]
    assert list(trace.x) == [0, 1, 2] * 3
    assert list(trace.y) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    framed = [shape for shape in figure.layout.shapes if shape.name == "chosen"]
    assert [(shape.x0, shape.y0) for shape in framed] == [(1.5, -0.5)] * 3
    assert "Largest difference" in group_cells.alt_text(frame)
    assert len(group_cells.print_figure(frame).axes) == 3


def test_many_states_have_small_cells_without_numbers() -> None:
    states = [f"state {k}" for k in range(16)]
    frame = group_cells.tidy({"all": np.full((16, 16), 1 / 16)}, states)
    trace = group_cells.screen(frame).data[0]
    assert trace.mode == "markers"
    assert trace.marker.size == group_cells.cell_pixels(16) - 3
    assert len(trace.customdata) == 256


def predictions() -> pd.DataFrame:
    truth = ["calm", "sad", "calm", "sad", "tense"] + ["calm"] * 60 + ["sad"]
    return pd.DataFrame(
        {
            "person": ["P1"] * 5 + ["P2"] * 61,
            "sequence": [0] * 5 + [1] * 61,
            "row": range(66),
            "time": np.arange(66.0),
            "truth": truth,
        }
    )


def test_snippets_mark_the_step_and_keep_it_in_sight() -> None:
    wanted = pd.DataFrame(
        {"person": ["P1", "P2"], "sequence": [0, 1], "group": ["a", "b"], "moves": [2, 1], "departures": [2, 60]}
    )
    frame = sequence_snippets.tidy(predictions(), wanted, ("calm", "sad"), STATES)
    assert frame.groupby("line")["leaves"].sum().tolist() == [2, 1]
    assert (frame["line"] == 2).sum() == sequence_snippets.LONGEST
    figure = sequence_snippets.screen(frame)
    joined = [trace for trace in figure.data if trace.mode == "lines"]
    assert [list(trace.x) for trace in joined][:2] == [[1, 2], [3, 4]]
    assert "P1" not in str(figure)
    assert "P1" in str(sequence_snippets.screen(frame, names=True))
    assert "3 of 62 steps" in sequence_snippets.alt_text(frame)
    sequence_snippets.print_figure(frame)


def test_no_snippets_are_an_empty_figure() -> None:
    none = pd.DataFrame(columns=["person", "sequence", "group", "moves", "departures"])
    frame = sequence_snippets.tidy(predictions(), none, ("calm", "sad"), STATES)
    assert frame.empty
    assert not sequence_snippets.screen(frame).data
    assert "No sequence" in sequence_snippets.alt_text(frame)


@pytest.mark.parametrize("observed", [0.95, 0.2, -0.2, 0.0])
def test_two_sided_bars_colour_what_reaches_the_observed_value(observed: float) -> None:
    null = np.random.default_rng(5).normal(0, 0.1, 999).clip(-1, 1)
    frame = null_distribution.tidy_two_sided(null, observed, 0.5, x_title="r", what="r in {} deals")
    assert frame["count"].sum() == 999
    reached = int(np.sum(np.abs(null) >= abs(observed)))
    assert int(frame.loc[frame["beyond"], "count"].sum()) == reached
    assert null_distribution.screen(frame).layout.xaxis.title.text == "r"
    assert "r in 999 deals" in null_distribution.alt_text(frame)


def test_what_counts_as_clear_follows_the_correction() -> None:
    rng = np.random.default_rng(6)
    t = np.stack([matrix(k) for k in range(60)])
    t[:30, 0] = 0.7 * t[:30, 0] + 0.3 * np.array([1.0, 0, 0])
    found = compare_transitions(t, np.arange(60) < 30, resamples=499, rng=rng, states=STATES)
    clear = {
        name: interval_matrix.tidy(found, correction=name)["verdict"].eq("clear").to_numpy()
        for name in interval_matrix.CORRECTIONS
    }
    raw = ((found.low > 0) | (found.high < 0)).ravel()
    np.testing.assert_array_equal(clear["raw"], raw)
    np.testing.assert_array_equal(clear["fdr"], (found.pvalue_fdr < 0.05).ravel())
    assert not (clear["simultaneous"] & ~raw).any()
    with pytest.raises(ValueError, match="correction"):
        interval_matrix.tidy(found, correction="none")


def test_naive_and_block_stand_beside_each_other() -> None:
    t = np.stack([matrix(k) for k in range(24)])
    family = np.repeat(np.arange(12), 2)
    found = naive_against_block(
        {"score": t}, family % 2 == 0, family, unit_name="families", permutations=99, rng=np.random.default_rng(1)
    )
    frame = naive_block.tidy(found, names={"score": "Modelled scores"})
    assert frame["panel"].tolist() == ["whole families", "single persons"]
    assert frame["value"].tolist() == [found.block[0].pvalue, found.naive[0].pvalue]
    assert "Modelled scores" in naive_block.alt_text(frame)
    assert naive_block.screen(frame).data
    naive_block.print_figure(frame)
