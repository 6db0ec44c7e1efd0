"""Baseline: the points drawn are those of the run, held-out rows are another baseline, and why a run cannot show it."""

from __future__ import annotations

import numpy as np
import pytest
from example_run import write_example
from page_checks import figure, numbers, opened, saving, words

from analyses.baseline_levels import scatter_frames
from toolkit.runs.folder import load_run


def drawn(at) -> np.ndarray:
    traces = [trace for trace in figure(at)["data"] if trace["mode"] == "markers"]
    return np.sort(np.concatenate([numbers(trace["x"]) for trace in traces]))


def test_points_are_the_persons_and_held_out_rows_move_them(tmp_path, monkeypatch) -> None:
    folder = write_example(tmp_path / "nme-mlp", model="nme-mlp")
    at = opened(tmp_path, monkeypatch, "baseline")
    run = load_run(folder)
    for rows, option in (("train", "train"), ("held-out", "held-out")):
        if rows == "held-out":
            at.main.get("button_group")[0].set_value(option).run()
        frame = scatter_frames(run, rows=rows, parameters=["layers.2.bias"])["layers.2.bias"]
        np.testing.assert_allclose(drawn(at), np.sort(frame["baseline"]))
        assert not at.exception
    said = words(at)
    assert "rows the model never saw" in said
    assert "held-out rows" in figure(at)["layout"]["xaxis"]["title"]["text"]
    assert "in 95% of 9,999 shuffles" in said
    assert "baseline_report(" in said
    assert list((folder / "analyses").glob("baseline-*/record.json"))


@pytest.mark.slow
def test_the_control_draws_all_shuffles(runs_folder, monkeypatch) -> None:
    at = opened(runs_folder, monkeypatch, "baseline", "nme-mlp")
    bars = [numbers(trace["y"]).sum() for trace in figure(at, 1)["data"]]
    assert sum(bars) == 9_999


@pytest.mark.slow
def test_nothing_by_group_is_saved_where_a_group_is_small(tmp_path, monkeypatch) -> None:
    write_example(tmp_path / "nme-mlp", model="nme-mlp", persons=30)
    at = opened(tmp_path, monkeypatch, "baseline")
    assert "a figure by group cannot be saved" in words(at)
    at.sidebar.selectbox(key="group_variable").set_value("no grouping").run()
    assert "a figure by group cannot be saved" not in words(at)
    assert "SVG" in saving(at)


def test_models_without_a_bias_of_persons_say_what_to_choose(runs_folder, monkeypatch) -> None:
    at = opened(runs_folder, monkeypatch, "baseline", "generic-crf-absolute")
    assert "same parameters for everybody" in words(at)
    at = opened(runs_folder, monkeypatch, "baseline", "nme-crf-absolute")
    assert "no level (bias) varies" in words(at)
    assert not at.get("plotly_chart")
