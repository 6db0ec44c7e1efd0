"""Model: what was fitted, how the fitting went, where persons differ, and how well it predicts."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from analyses.figures.labels import listed
from analyses.report import sentences
from app import model_factors, model_fit, model_prediction, model_variances, report_tables, views
from app.inputs import Settings
from app.state import OpenRun

View = Callable[[OpenRun, Settings], None]
CARD_NOTE = "Places in square brackets are for the authors. Numbers of small groups are left out."


def page(opened: OpenRun, settings: Settings) -> None:
    """The page."""
    views.sentence(sentences.model_sentence(opened.manifest))
    targets = opened.run.targets
    if len(targets) > 1:
        named = listed(list(targets))
        st.caption(views.plain(f"This run predicts {named} together. Tables name each; figures are of {targets[0]}."))
    known = _views(opened)
    names = list(known)
    shown = st.segmented_control(
        "What to look at", names, default=names[0], required=True, key=f"model view {opened.path}",
        label_visibility="collapsed",
    )  # fmt: skip
    known.get(str(shown), known[names[0]])(opened, settings)
    _documents(opened)


def _views(opened: OpenRun) -> dict[str, View]:
    """What can be looked at, the most telling first; only what the run has."""
    files = opened.manifest.get("files") or {}
    found: dict[str, View] = {}
    if opened.is_personal and not opened.all_components.empty:
        found["Where persons differ"] = model_variances.variances
        if not opened.has_states:
            found["Spread of effects"] = model_factors.spread
    if "gate.parquet" in files:
        found["Experts"] = model_variances.experts
    if "fixed_effects.parquet" in files:
        found["Fixed effects"] = model_variances.fixed_effects
    found["Prediction"] = model_prediction.prediction
    found["Person by person"] = model_prediction.person_by_person
    found["Calibration"] = model_prediction.calibration
    found["Fitting"] = model_fit.fitting
    found["Settings"] = model_fit.settings_of_fit
    return found


def _documents(opened: OpenRun) -> None:
    """The model card and the reporting checklist."""

    def card():  # noqa: ANN202 - a report
        from analyses.report.card import model_card

        return model_card(opened.run)

    def checklist():  # noqa: ANN202 - a report
        from analyses.report.tripod import tripod_checklist

        return tripod_checklist(opened.run)

    with st.container(horizontal=True):
        report_tables.document_files(card, "model-card", "Save the model card", CARD_NOTE)
        report_tables.document_files(checklist, "tripod-ai", "Save the TRIPOD+AI checklist", CARD_NOTE)


views.of_run(page)
