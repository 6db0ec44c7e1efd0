"""Colours that everybody can read: contrast on white, and apart from each other for colour-blind readers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from analyses.figures import palette

# Machado, Oliveira & Fernandes (2009), severity 1.0, on linear RGB
BLINDNESS = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def linear(colour: str) -> np.ndarray:
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    ratio = (matrix @ np.clip(rgb, 0, 1)) / np.array([0.9505, 1.0, 1.089])
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("kind", BLINDNESS)
def test_states_and_groups_stay_apart_for_colour_blind_readers(kind: str) -> None:
    matrix = np.array(BLINDNESS[kind])
    states = palette.state_styles(["positive", "aggressive", "dysphoric", "other"])
    groups = palette.group_styles(["one", "two"])
    for styles in (states.values(), [groups["one"], groups["two"]]):
        for first, second in itertools.combinations(styles, 2):
            distance = np.linalg.norm(lab(matrix @ linear(first.fill)) - lab(matrix @ linear(second.fill)))
            assert distance > 12, (kind, first.fill, second.fill)


def test_marks_keep_three_to_one_on_white() -> None:
    styles = [*palette.state_styles([*"abcd", "positive", "aggressive", "dysphoric", "other"]).values()]
    styles += palette.group_styles([*"abcde"]).values()
    assert all(palette.contrast(style.edge, palette.PAPER) >= 3 for style in styles)
    assert palette.contrast(palette.HATCH, palette.PAPER) >= 3


def test_text_keeps_four_and_a_half_to_one() -> None:
    assert palette.contrast(palette.INK, palette.PAPER) >= 4.5
    assert palette.contrast(palette.MUTED, palette.PAPER) >= 4.5
    for stops in (palette.PROBABILITY_STOPS, palette.DIFFERENCE_STOPS, palette.COUNT_STOPS):
        for position in np.linspace(0, 1, 101):
            ground = palette.colour_at(stops, float(position))
            assert palette.contrast(palette.text_on(ground), ground) >= 4.5, (ground, position)


def test_no_two_styles_share_a_marker() -> None:
    for styles in (
        palette.state_styles(["positive", "aggressive", "dysphoric", "other", "x"]),
        palette.group_styles("abcde"),
    ):
        named = [style.symbol for label, style in styles.items() if label]
        assert len(set(named)) == len(named)


def test_a_state_keeps_its_colour_whatever_else_is_there() -> None:
    assert (
        palette.state_styles(["positive"])["positive"] == palette.state_styles(["new", "other", "positive"])["positive"]
    )


def test_contrast_of_black_and_white() -> None:
    assert palette.contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert palette.colour_at(palette.DIFFERENCE_STOPS, 0.5) == "#FFFFFF"


GREY = 0.07  # difference in relative luminance that is seen side by side in print


def told_apart(first: palette.Style, second: palette.Style) -> bool:
    """In grey: by luminance, or by shape of the mark, dash of the line and hatching of the area, all three."""
    if abs(palette.relative_luminance(first.fill) - palette.relative_luminance(second.fill)) >= GREY:
        return True
    return first.marker != second.marker and (first.dash != second.dash or first.hatch != second.hatch)


def test_groups_and_states_can_be_told_apart_in_grey() -> None:
    groups = list(palette.group_styles("abcde").values())[:5]
    usual = palette.state_styles(["positive", "aggressive", "dysphoric", "other"]).values()
    spare = palette.state_styles("abcdefgh").values()
    for styles in (groups, usual, spare):
        for first, second in itertools.combinations(styles, 2):
            assert told_apart(first, second), (first, second)


def test_areas_of_states_differ_in_hatching_beside_colour() -> None:
    hatches = [style.hatch for style in palette.state_styles("abcdefgh").values()]
    assert len(set(hatches)) == len(hatches)
    assert set(hatches) <= {"", "/", "\\", "x", "-", "|", "+", "."}  # known to plotly and matplotlib alike


@pytest.mark.parametrize("kind", BLINDNESS)
def test_scales_stay_ordered_for_colour_blind_readers(kind: str) -> None:
    matrix = np.array(BLINDNESS[kind])
    lightness = [lab(matrix @ linear(colour))[0] for _, colour in palette.PROBABILITY_STOPS]
    assert np.all(np.diff(lightness) > 1)
    low, middle, high = (lab(matrix @ linear(palette.DIFFERENCE_STOPS[k][1])) for k in (0, 2, 4))
    assert np.linalg.norm(low - high) > 20
    assert min(middle[0] - low[0], middle[0] - high[0]) > 30


def test_scales_stay_ordered_in_grey() -> None:
    luminance = [
        palette.relative_luminance(palette.colour_at(palette.PROBABILITY_STOPS, x)) for x in np.linspace(0, 1, 41)
    ]
    assert np.all(np.diff(luminance) > 0)


def test_forty_states_have_styles() -> None:
    styles = palette.state_styles([f"s{k}" for k in range(40)])
    assert len(styles) == 40
    assert len({(style.fill, style.marker) for style in list(styles.values())[:8]}) == 8
