"""Contrast of text and marks, colours that colour-blind readers can tell apart, and a keyboard way to every chart."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from analyses.figures.colour_sets import COLOUR_SETS, ColourSet
from analyses.figures.palette import (
    COUNT_STOPS,
    DIFFERENCE_STOPS,
    INK,
    MUTED,
    NO_GROUP,
    PAPER,
    PROBABILITY_STOPS,
    colour_at,
    contrast,
    text_on,
)
from app.launcher import COLOURS, MAIN

TEXT, MARK, APART = 4.5, 3.0, 10.0
# Machado, Oliveira & Fernandes (2009), IEEE TVCG 15, 1291-1298, table 1, severity 1.0; for linear RGB
SIGHT = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def linear(colour: str) -> np.ndarray:
    channels = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) of linear RGB."""
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x = matrix @ rgb / np.array([0.9505, 1.0, 1.089])
    f = np.where(x > 0.008856, np.cbrt(x), 7.787 * x + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(first: np.ndarray, second: np.ndarray) -> float:
    """CIEDE2000 (Sharma, Wu & Dalal, 2005)."""
    (l1, a1, b1), (l2, a2, b2) = first, second
    mean_c = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = 0.5 * (1 - np.sqrt(mean_c**7 / (mean_c**7 + 25**7)))
    a1, a2 = a1 * (1 + g), a2 * (1 + g)
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    turn = 0.0 if c1 * c2 == 0 else (h2 - h1 + 180) % 360 - 180
    apart = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn) / 2)
    light, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    hue = h1 + h2 if c1 * c2 == 0 else (h1 + turn / 2) % 360
    angles = [(0.17, 1, -30), (-0.24, 2, 0), (-0.32, 3, 6), (0.20, 4, -63)]
    t = 1 - sum(weight * np.cos(np.radians(times * hue + shift)) for weight, times, shift in angles)
    s_l = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    s_c, s_h = 1 + 0.045 * chroma, 1 + 0.015 * chroma * t
    twist = 30 * np.exp(-(((hue - 275) / 25) ** 2))
    r = -2 * np.sqrt(chroma**7 / (chroma**7 + 25**7)) * np.sin(np.radians(2 * twist))
    parts = ((l2 - l1) / s_l, (c2 - c1) / s_c, apart / s_h)
    return float(np.sqrt(sum(part**2 for part in parts) + r * parts[1] * parts[2]))


def test_the_distance_is_that_of_the_published_pairs() -> None:
    pairs = [((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425), ((50, 2.5, 0), (73, 25, -18), 27.1492),
             ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644)]  # fmt: skip
    for first, second, expected in pairs:
        assert distance(np.array(first), np.array(second)) == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_and_controls_stand_out_in_both_themes(mode: str) -> None:
    theme = COLOURS[mode]
    for ground in ("backgroundColor", "secondaryBackgroundColor"):
        assert contrast(theme["textColor"], theme[ground]) >= TEXT
        assert contrast(theme["linkColor"], theme[ground]) >= TEXT
        assert contrast(theme["primaryColor"], theme[ground]) >= MARK
    assert contrast("#FFFFFF", theme["primaryColor"]) >= TEXT, "white words on a button"


def test_words_in_figures_stand_out() -> None:
    assert contrast(INK, PAPER) >= TEXT
    assert contrast(MUTED, PAPER) >= TEXT
    for stops in (PROBABILITY_STOPS, DIFFERENCE_STOPS, COUNT_STOPS):
        for position in np.linspace(0, 1, 101):
            cell = colour_at(stops, float(position))
            assert contrast(text_on(cell), cell) >= TEXT, (cell, position)


@pytest.mark.parametrize("colours", COLOUR_SETS.values(), ids=COLOUR_SETS)
def test_outlines_of_marks_stand_out(colours: ColourSet) -> None:
    for style in (*colours.groups, *colours.states.values(), *colours.spare, NO_GROUP):
        assert contrast(style.edge, PAPER) >= MARK, style


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("name", COLOUR_SETS)
def test_colours_can_be_told_apart(name: str, sight: str) -> None:
    colours = COLOUR_SETS[name]
    states = [style.fill for style in colours.states.values()]
    # five greys or more cannot all be far apart; shapes and hatchings tell them apart then
    states += [] if name == "greys" else [style.fill for style in colours.spare]
    groups = [style.fill for style in (colours.groups[:4] if name == "greys" else colours.groups)]
    for fills in (states, groups):
        seen = {fill: lab(np.clip(SIGHT[sight] @ linear(fill), 0, 1)) for fill in fills}
        for first, second in itertools.combinations(fills, 2):
            assert distance(seen[first], seen[second]) >= APART, (first, second)


@pytest.mark.parametrize("name", COLOUR_SETS)
def test_no_two_groups_or_states_share_a_shape(name: str) -> None:
    colours = COLOUR_SETS[name]
    for styles in (colours.groups, (*colours.states.values(), *colours.spare)):
        assert len({style.symbol for style in styles}) == len(styles)
        assert len({style.marker for style in styles}) == len(styles)


PAGES_WITH_CHARTS = ("model", "persons", "one_person", "transitions")


@pytest.mark.parametrize("page", PAGES_WITH_CHARTS)
def test_every_chart_is_said_in_words_and_every_click_has_a_twin(
    runs_folder: Path, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    monkeypatch.setenv("NME_RUNS", str(runs_folder))
    at = AppTest.from_file(str(MAIN), default_timeout=30).run().switch_page(f"../pages/{page}.py").run()
    assert not at.exception
    charts = at.get("plotly_chart")
    assert charts
    for chart in charts:
        assert len(chart.proto.alt) > 20, json.loads(chart.proto.spec)["layout"].get("title")
    if any(chart.proto.selection_mode for chart in charts):
        assert at.main.selectbox or at.main.dataframe
