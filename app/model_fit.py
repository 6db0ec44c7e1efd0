"""The Model page on the fit: training curve, status, what it remarked on, settings."""

from __future__ import annotations

import re

import pandas as pd
import streamlit as st

from analyses.figures import training_curve
from analyses.report import sentences
from analyses.report.methods_words import model_sentences, software_sentence, split_sentence
from app import views
from app.basket import Pinned
from app.inputs import Settings
from app.state import OpenRun

_CODE = re.compile(r"^W\d+: ")


def fitting(opened: OpenRun, settings: Settings) -> None:
    """How the fitting went."""
    status = opened.manifest.get("status") or {}
    said = sentences.status_words(opened.manifest)
    if status.get("best_epoch") is not None and status.get("epochs"):
        said += f" Best epoch {status['best_epoch']} of {status['epochs']}."
    frame = training_curve.tidy(opened.trace)
    if frame.empty:
        views.sentence(said)
        st.caption(
            "This model is fitted by exact likelihood, so there is no loss by epoch."
            if "likelihood.parquet" in (opened.manifest.get("files") or {})
            else "This run kept no record of its fitting."
        )
    else:
        pinned = Pinned(name="training", title="How the fitting went", text=[said], figure=(training_curve, frame),
                        saved=frame, reading=("training_curve",))  # fmt: skip
        views.result(opened, pinned)
    _remarks(opened)


def _remarks(opened: OpenRun) -> None:
    """What was remarked on while fitting."""
    remarks = [_CODE.sub("", str(words)) for words in opened.manifest.get("warnings") or []]
    if not remarks:
        st.caption("Nothing else was remarked on while fitting.")
        return
    st.subheader("What was remarked on", anchor=False)
    for words in dict.fromkeys(remarks):
        st.markdown(f"- {views.plain(words[:1].upper() + words[1:])}.")


def settings_of_fit(opened: OpenRun, settings: Settings) -> None:
    """Estimator, split, software and every setting."""
    manifest = opened.manifest
    for words in model_sentences(manifest):
        views.sentence(words)
    views.sentence(split_sentence(manifest))
    views.sentence(software_sentence(manifest))
    config = manifest.get("config") or {}
    shown = pd.DataFrame({"setting": list(config), "value": [str(value) for value in config.values()]})
    views.table(shown, {"setting": "Setting", "value": "Value"}, key="config", height=300)
