"""What a figure of the catalogue is: its name, what a run must have, and how it is built from a run folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from analyses.report.guard import SMALLEST_SHOWN

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

    from toolkit.runs.folder import SavedRun


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureOptions:
    """What can be asked of a figure. Each entry says which of these it listens to.

    Attributes:
        parameter: person effect to draw, as the run names it; each figure has a default.
        term: grouping factor whose effects are drawn (``family``); the persons by default.
        value: which transitions: ``probability``, ``expected``, ``observed`` or ``score``.
        unit: what is resampled or shuffled together: ``auto``, ``person`` or ``cluster``.
        level: of the intervals.
        resamples: bootstrap resamples. permutations: random shuffles.
        seed: of every random number.
        person: pseudonym of the person drawn or marked.
        min_group: smallest number of persons a group may have to be shown, 5 to 21.
        others: further runs, for figures that compare models or fits.
        settings: what only one figure knows, by name.
    """

    parameter: str | None = None
    term: str | None = None
    value: str | None = None
    unit: str = "auto"
    level: float = 0.95
    resamples: int = 10_000
    permutations: int = 9_999
    seed: int = 1
    person: str | None = None
    min_group: int = SMALLEST_SHOWN
    others: tuple[SavedRun, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Built:
    """A figure ready to be drawn.

    Attributes:
        frame: the tidy data, every number that is drawn.
        screen: draws it with plotly.
        print_figure: draws it with matplotlib at a width in millimetres.
        alt: alternative text, what the figure shows in words and numbers.
        note: what belongs below the figure; empty when there is nothing to say.
    """

    frame: pd.DataFrame
    screen: Callable[[], go.Figure]
    print_figure: Callable[[float], Figure]
    alt: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entry:
    """One figure of the catalogue.

    Attributes:
        name: what is typed, such as ``caterpillar``.
        title: what it shows, as a caption's first line.
        needs: what the run must have, in words.
        build: computes and arranges the data of a run.
        options: names of the `FigureOptions` it listens to; any other that is set is an error.
        identifiable: whether it shows one single person, which has to be asked for.
        settings: names of the further settings it takes.
    """

    name: str
    title: str
    needs: str
    build: Callable[[SavedRun, FigureOptions], Built]
    options: tuple[str, ...] = ()
    identifiable: bool = False
    settings: tuple[str, ...] = ()
