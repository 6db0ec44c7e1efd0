"""Studies: the rows behind a run, or a study that has no run yet.

``st.session_state["opened_study"]`` is an `OpenStudy` or None. For an open run it is the run's own study where that is
known: opened here by the user, named by an analysis kept in the run folder, lying beside the runs, or bundled with the
toolkit. Without a run it is the study the user opened. Nothing is read before a page asks for it.
"""

from __future__ import annotations

import warnings
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from app.state import OpenRun
from toolkit.errors import ToolkitError, ToolkitWarning

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from toolkit.data.description import Description
    from toolkit.data.grouped import GroupedDataset
    from toolkit.data.sequences import SequenceBatch
    from toolkit.data.study import Study
    from toolkit.data.study_checks import StudyCheck

STUDY_FILE = "study.toml"
FILES = "opened_study_files"
OPENED = "shown_study_file"
BY_RUN = "study_files_of_runs"


class OpenStudy:
    """A study whose rows are read at first use and kept for the session. Persons are pseudonyms throughout."""

    def __init__(self, path: Path, study: Study) -> None:
        self.path = path
        self.study = study
        self._notices: list[str] = []

    @property
    def title(self) -> str:
        """For headings."""
        return self.study.title

    @property
    def group_name(self) -> str | None:
        """The comparison variable, if the study has one."""
        return self.study.group

    @property
    def cluster_name(self) -> str | None:
        """What persons are nested in (family, site), if anything."""
        return self.study.cluster

    @property
    def notices(self) -> tuple[str, ...]:
        """What was remarked on while reading, one sentence each; complete once `frame` or `data` has been read."""
        return tuple(dict.fromkeys(self._notices))

    def group_of(self, label: object) -> str:
        """A group label, written out."""
        return self.study.group_labels.get(str(label), str(label))

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The table with pseudonyms and with the columns the study file makes; errors as `Study.frame`."""
        return self._noticed(self.study.frame)

    @cached_property
    def data(self) -> GroupedDataset:
        """The rows for the study's first target; errors as `Study.grouped`."""
        return self._noticed(self.study.grouped)

    @cached_property
    def sequences(self) -> SequenceBatch:
        """The sequences of states; errors as `Study.sequences`, E302 for a study without time."""
        return self._noticed(self.study.sequences)

    @cached_property
    def check(self) -> StudyCheck:
        """Everything wrong or odd about the study; see `toolkit.data.study_checks`."""
        from toolkit.data.study_checks import check_study

        return self._noticed(lambda: check_study(self.study))

    @cached_property
    def description(self) -> Description:
        """Missing data, compliance, Table 1; see `toolkit.data.description`."""
        from toolkit.data.description import describe_study

        return self._noticed(lambda: describe_study(self.study))

    def _noticed(self, read: Callable[[], Any]) -> Any:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = read()
        self._notices += [w.message.message for w in caught if isinstance(w.message, ToolkitWarning)]
        return found


def open_study(path: Path) -> OpenStudy:
    """The study of a study.toml (or of the folder that holds one); read again when the file changes.

    Raises:
        DataError: E100 or E106 when the file cannot be read. ConfigError: E302 for settings that are not a study's.
    """
    path = path / STUDY_FILE if path.is_dir() else path
    changed = path.stat().st_mtime_ns if path.is_file() else 0
    return _opened(str(path.resolve()), changed)


@st.cache_resource(scope="session", show_spinner=False, max_entries=8)
def _opened(path: str, changed: int) -> OpenStudy:
    from toolkit.data.study import Study

    return OpenStudy(Path(path), Study.read(path))


def choose_study(path: Path, run: Path | None = None) -> OpenStudy:
    """Open a study for the session, or for one run; errors as `open_study`."""
    found = open_study(path)
    if run is None:
        st.session_state[FILES] = {**opened_files(), found.title: found.path}
    else:
        st.session_state[BY_RUN] = {**st.session_state.get(BY_RUN, {}), str(run.resolve()): found.path}
    return found


def opened_files() -> dict[str, Path]:
    """The studies the user opened, title to file."""
    return dict(st.session_state.get(FILES, {}))


def look_at(path: Path | None) -> None:
    """Make a study the one that is shown where no run is open."""
    st.session_state[OPENED] = path


def current_study(opened: OpenRun | None) -> OpenStudy | None:
    """The study of the open run where it is known; without a run the one the user opened."""
    if opened is None:
        wanted = st.session_state.get(OPENED)
        return None if wanted is None else open_study(Path(wanted))
    chosen = st.session_state.get(BY_RUN, {}).get(str(opened.path.resolve()))
    if chosen is not None:
        return open_study(Path(chosen))
    for path in _places(opened):
        try:
            found = open_study(path)
        except (ToolkitError, OSError):
            continue
        if (found.study.name, found.title) == (opened.study.get("name"), opened.study.get("title")):
            return found
    return None


def _places(opened: OpenRun) -> list[Path]:
    """Where a run's study may lie, nearest first; the study's name decides."""
    from toolkit.data.demo import BUNDLED

    wanted = st.session_state.get(OPENED)
    folder = opened.path.resolve()
    beside = [parent / STUDY_FILE for parent in (folder.parent, folder.parent.parent, folder.parent.parent / "study")]
    told = [folder / path for path in _told(folder)]
    places = [*([Path(wanted)] if wanted else []), *told, *beside, *BUNDLED.values()]
    return [path for path in dict.fromkeys(places) if path.exists()]


def _told(folder: Path) -> list[str]:
    """Study files named by analyses kept in the run folder."""
    import json

    found = []
    for path in sorted((folder / "analyses").glob("*/made_with.json")):
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(said, dict) and isinstance(said.get("study"), str) and said["study"]:
            found.append(said["study"])
    return list(dict.fromkeys(found))
