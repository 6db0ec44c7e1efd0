"""What the import form stands on: a file brought in, its columns, the roles, and everything wrong with them."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from toolkit.data.column_facts import facts_of
from toolkit.data.dates import date_order, looks_like_dates, with_day_first
from toolkit.data.import_source import ImportSource
from toolkit.data.readers import KINDS, ReadOptions
from toolkit.data.roles import SEVERAL, Proposal, names_an_id, propose_roles
from toolkit.data.study import Study
from toolkit.data.study_checks import StudyCheck, check_frame
from toolkit.errors import ToolkitError

MOST_CHECKED = 200_000
PREVIEW_ROWS = 8
HIDDEN = "•••"
KIND_WORDS = {"whole": "whole numbers", "number": "numbers", "truth": "true or false", "date": "dates", "text": "text"}
_FOLDER = "uploaded files of this session"


@dataclass(frozen=True, slots=True, kw_only=True)
class BroughtFile:
    """A file to import: where it lies now. Its own name is not kept: names of files can hold names of persons."""

    path: Path
    uploaded: bool


def brought(content: bytes, name: str) -> BroughtFile:
    """An uploaded file, written under a name of ours into a private folder that goes with the session.

    Raises:
        ToolkitError: never; a kind of file that is not known is refused when it is opened (E107).
    """
    if _FOLDER not in st.session_state:
        st.session_state[_FOLDER] = tempfile.TemporaryDirectory(prefix="nme-")
    ending = Path(name).suffix.lower()
    path = Path(st.session_state[_FOLDER].name) / f"table{ending if ending in KINDS else '.unknown'}"
    path.write_bytes(content)
    path.chmod(0o600)
    return BroughtFile(path=path, uploaded=True)


def studies_folder() -> Path:
    """Where studies go that are made here: ``NME_STUDIES``, else ``nme/studies`` in the user's data folder."""
    chosen = os.environ.get("NME_STUDIES")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_DATA_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".local" / "share") / "nme" / "studies"


def folder_name(title: str) -> str:
    """A title as the name of a folder: letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60] or "study"


def opened_source(file: BroughtFile, options: ReadOptions) -> ImportSource:
    """The checked file; read again when it changes.

    Raises:
        DataError: as `toolkit.data.readers.read_table`.
    """
    changed = file.path.stat().st_mtime_ns if file.path.is_file() else 0
    return _source(str(file.path), changed, options)


@st.cache_resource(scope="session", show_spinner=False, max_entries=4)
def _source(path: str, changed: int, options: ReadOptions) -> ImportSource:
    return ImportSource.open(Path(path), options)


def columns_table(source: ImportSource) -> pd.DataFrame:
    """What is known of each column: kind and counts, no cell."""
    rows = [
        (name, KIND_WORDS[fact.kind], fact.empty, fact.distinct, str(source.questions.get(name, "")))
        for name, fact in facts_of(source.sample).items()
    ]
    return pd.DataFrame(rows, columns=["column", "kind", "empty", "different", "wording"])


def preview(source: ImportSource, *, identifiable: bool) -> pd.DataFrame:
    """The first rows; text and ids stay hidden unless the identifiable view is on."""
    shown = source.sample.head(PREVIEW_ROWS).copy()
    if identifiable:
        return shown
    for name, fact in facts_of(shown).items():
        if fact.kind == "text" or names_an_id(name):
            shown[name] = shown[name].map(lambda cell: None if pd.isna(cell) else HIDDEN)
    return shown


def proposed(source: ImportSource, said: Mapping[str, object]) -> tuple[Proposal | None, str]:
    """The roles that were said or can be found; without a person column nothing but the sentence that says so."""
    try:
        return propose_roles(source.sample, said=said), ""
    except ToolkitError as problem:
        return None, here(problem)


def said_roles(chosen: Mapping[str, Any], *, none: str) -> dict[str, object]:
    """The form's answers as `propose_roles` takes them; ``none`` is how the form says that there is no column."""
    single: dict[str, object] = {
        role: "-" if value == none else value for role, value in chosen.items() if role not in SEVERAL
    }
    return single | {role: list(value) for role, value in chosen.items() if role in SEVERAL}


def dates_need_an_order(source: ImportSource, proposal: Proposal) -> tuple[bool, bool | None]:
    """Whether the time column holds dates as text, and which order its cells prove (None where either fits)."""
    time = proposal.roles.time
    if time is None:
        return False, None
    series = source.sample[time]
    if not (pd.api.types.is_string_dtype(series.dtype) and looks_like_dates(series)):
        return False, None
    return True, date_order(series)


def checked(
    source: ImportSource, proposal: Proposal, *, day_first: bool | None = None, drop_empty: bool = False
) -> StudyCheck:
    """Everything wrong or odd about the rows under these roles; of very large files the first rows are looked at."""
    frame = (source.whole() if source.rows <= MOST_CHECKED else source.sample).copy()
    roles = proposal.roles
    if roles.time is not None and day_first is not None:
        frame[roles.time] = with_day_first(frame[roles.time], day_first=day_first)
    nowhere = Path("nowhere")
    study = Study(
        name="import", title="import", data_file=nowhere, key_path=nowhere, person=roles.person or "",
        cluster=roles.cluster, group=roles.group, time=roles.time, sequence=roles.sequence, state=roles.state,
        targets=roles.targets, features=roles.features, drops_empty=drop_empty,
    )  # fmt: skip
    return check_frame(frame, study)


def here(problem: ToolkitError) -> str:
    """An error's sentence without the options of the command line."""
    text = re.sub(r"\s*\(--[a-z-]+\)|:\s*--[a-z-]+ or --[a-z-]+", "", problem.sentence)
    return re.sub(r"(^|\. )([a-z])(?=[a-z’']*[ ,:;])", lambda match: match[1] + match[2].upper(), text)
