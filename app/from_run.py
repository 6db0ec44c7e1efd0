"""Figures of the catalogue, tables of a paper and the variance partition of an open run, made once per session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from analyses.report.catalogue import figure
from analyses.report.catalogue.entry import Built, FigureOptions
from analyses.report.standard_tables import TableOptions, standard_table
from analyses.report.tables import ReportTable
from analyses.variance import VariancePartition, variance_of_run
from app.inputs import PERSONS
from app.state import OpenRun

if TYPE_CHECKING:
    import pandas as pd


class Drawing:
    """A figure of the catalogue as a module of figures: what it draws is settled, whatever frame it is given."""

    def __init__(self, built: Built, name: str) -> None:
        self.built = built
        self.__name__ = name

    def screen(self, frame: pd.DataFrame, **words: Any) -> Any:
        """For the screen."""
        return self.built.screen(**words)

    def print_figure(self, frame: pd.DataFrame, *, width_mm: float = 165.0) -> Any:
        """For print."""
        return self.built.print_figure(width_mm)

    def alt_text(self, frame: pd.DataFrame) -> str:
        """In words."""
        return self.built.alt


def drawn(opened: OpenRun, name: str, **options: Any) -> Built:
    """A figure of the catalogue; errors as `analyses.report.catalogue.figure`."""
    return _drawn(*_key(opened), name, tuple(sorted(options.items())), opened)


def paper_table(opened: OpenRun, name: str, **options: Any) -> ReportTable:
    """A table of a paper; errors as `analyses.report.standard_tables.standard_table`."""
    return _table(*_key(opened), name, tuple(sorted(options.items())), opened)


def variances(opened: OpenRun, unit: str, level: float) -> VariancePartition:
    """Where the differences lie; errors as `analyses.variance.variance_of_run`."""
    kind = "person" if unit == PERSONS or opened.cluster_name is None else "cluster"
    return _variances(*_key(opened), kind, level, opened)


def _key(opened: OpenRun) -> tuple[str, str]:
    return str(opened.path), str(opened.manifest.get("finished"))


@st.cache_resource(scope="session", show_spinner=False, max_entries=32)
def _drawn(path: str, finished: str, name: str, options: tuple[tuple[str, Any], ...], _opened: OpenRun) -> Built:
    return figure(name, _opened.run, FigureOptions(**dict(options)))


@st.cache_resource(scope="session", show_spinner=False, max_entries=32)
def _table(path: str, finished: str, name: str, options: tuple[tuple[str, Any], ...], _opened: OpenRun) -> ReportTable:
    return standard_table(name, _opened.run, TableOptions(**dict(options)))


@st.cache_resource(scope="session", show_spinner=False, max_entries=16)
def _variances(path: str, finished: str, unit: str, level: float, _opened: OpenRun) -> VariancePartition:
    return variance_of_run(_opened.run, unit=unit, level=level, rng=np.random.default_rng(1))
