"""The figures of studies and single cases on paper: nothing too small, too thin, transparent or outside."""

from __future__ import annotations

import pytest
from drawn import faults
from test_study_figures import frames as frames

from analyses.figures.presets import PRESETS, sheet


@pytest.mark.slow
@pytest.mark.parametrize("size", ["89mm", "slide"])
def test_text_is_readable_lines_are_printable_and_all_is_on_the_paper(frames, size: str) -> None:
    found = {}
    for module, frame in frames.items():

        def draw(width, module=module, frame=frame):
            return module.print_figure(frame, width_mm=width)

        found[module.__name__] = faults(sheet(draw, PRESETS[size]))
    assert {name: said for name, said in found.items() if said} == {}
