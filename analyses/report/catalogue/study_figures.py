"""Figures of models, studies and designs: comparisons, curves, gates."""

from __future__ import annotations

from analyses.report.catalogue.entry import Entry

STUDY_FIGURES: tuple[Entry, ...] = ()
