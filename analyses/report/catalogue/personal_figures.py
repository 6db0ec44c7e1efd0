"""Figures that mark one case among the others."""

from __future__ import annotations

from analyses.report.catalogue.entry import Entry

PERSONAL_FIGURES: tuple[Entry, ...] = ()
