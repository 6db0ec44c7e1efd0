"""The form that turns a file into a study: file, how it is read, roles, findings, and where the study goes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import streamlit as st

from app import import_steps, studies, views
from app.import_steps import BroughtFile
from app.inputs import Settings
from app.launcher import UPLOAD_MB
from app.sidebar import want_study
from toolkit.data.import_source import ImportSource
from toolkit.data.importing import ImportChoices, ImportedStudy, import_study
from toolkit.data.readers import KINDS, ReadOptions
from toolkit.data.roles import Proposal
from toolkit.errors import ToolkitError

ROLES = {
    "person": ("Whose row is it?", "Ids become pseudonyms; who is who stays in a key file outside the study."),
    "group": ("Groups to compare", "One value per person, such as a diagnosis."),
    "cluster": ("Family or site", "Persons of one family or site are shuffled and drawn together."),
    "time": ("Order of a person’s rows", "A date, a prompt number, a segment."),
    "sequence": ("Day or session", "It changes where a sequence ends."),
    "state": ("States", "The column that holds states, for models of sequences."),
}
NONE = "–"
_FILE, _SAID, _DONE = "file to import", "roles said", "study made"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A proposal that was looked at, with what the rows need beside it."""

    proposal: Proposal
    day_first: bool | None
    drop_empty: bool


def draw(settings: Settings) -> None:
    """The whole form, as far as it has got."""
    _done()
    file = _file()
    if file is None:
        return
    source = _reading(file)
    if source is None:
        return
    _look(source, settings)
    chosen = _roles(source, file)
    if chosen is None:
        return
    if _findings(source, chosen):
        _make(source, chosen)


def _file() -> BroughtFile | None:
    st.markdown("**1. The file**")
    left, right = st.columns(2, gap="medium")
    uploaded = left.file_uploader(
        "Choose a file of this computer", type=[ending.removeprefix(".") for ending in KINDS], key="import upload",
        max_upload_size=UPLOAD_MB, help="It is read by this program on this computer, and goes nowhere else.",
    )  # fmt: skip
    typed = right.text_input("or type where it lies", placeholder="/home/me/diary.sav", key="import path")
    right.caption("Tables of csv, Excel, SPSS, Stata, SAS and parquet. One row per answer, segment or day.")
    if uploaded is not None:
        known = st.session_state.get(_FILE)
        if known is None or known[0] != uploaded.file_id:
            st.session_state[_FILE] = (uploaded.file_id, import_steps.brought(uploaded.getvalue(), uploaded.name))
        return st.session_state[_FILE][1]
    if typed.strip():
        return BroughtFile(path=Path(typed.strip()).expanduser(), uploaded=False)
    return None


def _reading(file: BroughtFile) -> ImportSource | None:
    with st.expander("How the file is written (found out by looking; say it where that went wrong)"):
        columns = st.columns(5)
        said: dict[str, Any] = {
            "separator": columns[0].selectbox("Between cells", [None, "comma", "semicolon", "tab", "bar"], **_found()),
            "decimal": columns[1].selectbox("Decimal mark", [None, "point", "comma"], **_found()),
            "thousands": columns[2].selectbox("Thousands", [None, "comma", "point", "space", "apostrophe"], **_found()),
            "encoding": columns[3].text_input("Encoding", placeholder="found out") or None,
            "sheet": columns[4].text_input("Excel sheet", placeholder="the only one") or None,
        }
    try:
        source = import_steps.opened_source(file, ReadOptions(**said))
    except ToolkitError as problem:
        st.error(views.plain(f"{problem.code}: {import_steps.here(problem)}"))
        return None
    for notice in source.notices:
        st.caption(views.plain(notice.message))
    return source


def _found() -> dict[str, Any]:
    return {"format_func": lambda value: value or "found out"}


def _look(source: ImportSource, settings: Settings) -> None:
    st.markdown("**2. What is in it**")
    st.markdown(views.plain(f"Read as {source.format.words()}: {source.rows} rows, {len(source.columns)} columns."))
    left, right = st.columns(2, gap="medium")
    with left:
        headings = {"column": "Column", "kind": "Holds", "empty": "Empty cells", "different": "Different values"}
        table = import_steps.columns_table(source)
        if table["wording"].any():
            headings["wording"] = "Wording"
        views.table(table, headings, key="import columns", height=240)
    with right:
        shown = import_steps.preview(source, identifiable=settings.identifiable)
        st.dataframe(shown, hide_index=True, key="import preview", height=240)
    if not settings.identifiable:
        st.caption(
            "The first rows. Ids and text are hidden, for they can hold names; “Identifiable view” in the sidebar "
            "shows them."
        )


def _roles(source: ImportSource, file: BroughtFile) -> Checked | None:
    """The roles as proposed and as corrected; None until they were confirmed."""
    st.markdown("**3. What each column is for**")
    said = st.session_state.get(_SAID, {}).get(str(file.path), {})
    proposal, problem = import_steps.proposed(source, said)
    if problem:
        st.warning(views.plain(problem))
    with st.form("import roles", border=True):
        chosen = _role_fields(source, proposal, str(file.path))
        drop_empty = st.checkbox("Leave out rows with empty cells in what is predicted or predicts", key="import drop")
        pressed = st.form_submit_button("Check these roles", type="primary")
    if pressed:
        st.session_state[_SAID] = {str(file.path): import_steps.said_roles(chosen, none=NONE)}
        st.rerun()
    if not said or proposal is None:
        st.caption("The roles are proposals, with their reasons. Correct what is wrong, then check them.")
        return None
    is_date, order = import_steps.dates_need_an_order(source, proposal)
    if is_date and order is None:
        answer = st.radio("Dates can be read in two ways", ["Day first", "Month first"], index=None, horizontal=True)
        if answer is None:
            return None
        order = answer == "Day first"
    return Checked(proposal=proposal, day_first=order if is_date else None, drop_empty=drop_empty)


def _role_fields(source: ImportSource, proposal: Proposal | None, key: str) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    columns = st.columns(3)
    for place, (role, (label, text)) in enumerate(ROLES.items()):
        value = getattr(proposal.roles, role) if proposal is not None else None
        reason = proposal.reasons.get(role, "") if proposal is not None else ""
        options = [NONE, *source.columns]
        chosen[role] = columns[place % 3].selectbox(
            label, options, index=options.index(value or NONE), key=f"role {role} {key}",
            help=views.plain(f"{text} Proposed because of {reason}." if reason else text),
        )  # fmt: skip
    several = {"targets": "To predict (the first is the default)", "features": "To predict from"}
    for role, label in several.items():
        value = list(getattr(proposal.roles, role)) if proposal is not None else []
        chosen[role] = st.multiselect(label, source.columns, default=value, key=f"role {role} {key}")
    return chosen


def _findings(source: ImportSource, chosen: Checked) -> bool:
    """Everything wrong or odd, with row numbers; whether the study can be made."""
    st.markdown("**4. What to look at**")
    found = import_steps.checked(source, chosen.proposal, day_first=chosen.day_first, drop_empty=chosen.drop_empty)
    groups = ", ".join(f"{name} {count}" for name, count in found.groups.items()) if len(found.groups) <= 6 else ""
    st.markdown(views.plain(f"{found.persons} persons, {found.rows} rows. {f'Groups: {groups}.' if groups else ''}"))
    faults = len(found.findings.faults)
    if found.findings.found:
        frame = found.findings.to_frame()
        headings = {"code": "Code", "column": "Column", "rows": "Rows", "finding": "Found", "what to do": "What to do"}
        views.table(frame, headings, key="import findings", height=min(35 * (len(frame) + 1) + 3, 320))
        st.caption("Row numbers are those a spreadsheet shows. Codes with E keep a model from being fitted.")
    if faults:
        st.warning(f"{faults} of these must be corrected before a model can be fitted: in the file, or in the roles.")
    else:
        st.success("Nothing keeps a model from being fitted.")
    return found.persons > 0


def _make(source: ImportSource, chosen: Checked) -> None:
    st.markdown("**5. Make the study**")
    with st.form("import make", border=True):
        columns = st.columns([2, 1, 1, 1])
        title = columns[0].text_input("Title", "My study", key="import title")
        unit = columns[1].text_input("One row is a", "prompt", key="import unit")
        per_day = columns[2].number_input("Planned a day", min_value=0, value=0, help="0: there was no plan.")
        days = columns[3].number_input("Planned days", min_value=0, value=0, help="0: there was no plan.")
        folder = st.text_input("Folder", placeholder=str(import_steps.studies_folder() / "my-study"), key="import out")
        overwrite = st.checkbox("Replace a study that is in this folder (persons keep their pseudonyms)")
        pressed = st.form_submit_button("Make the study", type="primary")
    if not pressed:
        return
    typed = folder.strip()
    out = Path(typed).expanduser() if typed else import_steps.studies_folder() / import_steps.folder_name(title)
    choices = ImportChoices(
        title=title.strip() or None, unit=unit.strip() or "row", day_first=chosen.day_first,
        drop_empty=chosen.drop_empty, planned_per_day=int(per_day) or None, planned_days=int(days) or None,
        overwrite=overwrite,
    )  # fmt: skip
    confirmed = tuple(notice for notice in source.notices if notice.code != "W220")  # the form was shown, and taken
    plain_source = replace(source, format=source.format.confirmed(), notices=confirmed)
    try:
        made = import_study(plain_source, chosen.proposal, out, choices=choices)
    except ToolkitError as problem:
        st.error(views.plain(f"{problem.code}: {import_steps.here(problem)}"))
        return
    want_study(studies.choose_study(made.study_file).title)
    st.session_state[_DONE] = made
    st.rerun()


def _done() -> None:
    """What the import made, until another file is imported."""
    made: ImportedStudy | None = st.session_state.get(_DONE)
    if made is None:
        return
    clusters = f" in {made.clusters} clusters" if made.clusters else ""
    st.success(
        views.plain(
            f"The study is made: {made.rows} rows of {made.persons} persons{clusters}, {len(made.kept)} columns. "
            f"{len(made.left_out)} columns of text or ids were left out, for they can hold names."
        )
    )
    st.markdown(
        views.plain(f"Who is who stands in {made.key_path}. Keep it as you keep the raw data; do not pass it on.")
    )
    with st.container(horizontal=True):
        content = made.study_file.read_bytes() if made.study_file.is_file() else b""
        st.download_button("Save study.toml", content, "study.toml", "application/toml", on_click="ignore")
        st.page_link(Path(__file__).parent / "pages" / "data.py", label="See it on the Data page")
    for notice in made.notices:
        st.caption(views.plain(notice.message))
    st.caption("The next step is to fit a model. Copy this line into a terminal:")
    st.code(f"nme fit {made.study_file} --model nme-mlp", language=None)
