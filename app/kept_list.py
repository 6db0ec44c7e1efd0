"""Results that lie in the run folder: read one by one, so that a damaged one stops no page."""

from __future__ import annotations

import json
from collections.abc import Callable

import streamlit as st

from app import views
from app.state import OpenRun
from toolkit.errors import RunFolderError
from toolkit.results import Result
from toolkit.runs.kept import FOLDER, KeptAnalysis, Recipe, read_kept


def kept(opened: OpenRun) -> tuple[list[KeptAnalysis], list[str]]:
    """All results that can be read, the newest first, and a sentence for each that cannot."""
    folder = opened.path / FOLDER
    found: list[tuple[float, KeptAnalysis]] = []
    problems = []
    for place in sorted(folder.iterdir()) if folder.is_dir() else []:
        if not (place / "result.json").is_file():
            continue
        try:
            found.append(((place / "result.json").stat().st_mtime, read_kept(place)))
        except RunFolderError as problem:
            problems.append(views.spoken(problem))
    found.sort(key=lambda item: -item[0])
    return [one for _, one in found], problems


def of_command(opened: OpenRun, command: str) -> tuple[list[KeptAnalysis], list[str]]:
    """Those made by a kind of analysis, and a sentence for each result that cannot be read."""
    found, problems = kept(opened)
    return [one for one in found if one.recipe is not None and one.recipe.command == command], problems


def newest(opened: OpenRun, command: str) -> KeptAnalysis | None:
    """The result of a kind of analysis that was kept last; what cannot be read is said."""
    found, problems = of_command(opened, command)
    if not found:
        warn(problems)
    return found[0] if found else None


def as_kept(name: str, result: Result, recipe: Recipe) -> KeptAnalysis:
    """A result of this session in the form of one that lies in the run folder."""
    summary = json.loads(json.dumps(result.summary(), default=float))
    return KeptAnalysis(
        name=name, summary=summary, frame=result.to_frame(), text=result.text(), apa=result.apa(), recipe=recipe
    )


def warn(problems: list[str]) -> None:
    """Say what could not be read."""
    for problem in problems:
        st.warning(views.plain(problem))


def listed(opened: OpenRun, wanted: Callable[[KeptAnalysis], bool] = lambda one: True) -> None:
    """Sentences of the results in the run folder, folded away."""
    found, problems = kept(opened)
    warn(problems)
    mine = [one for one in found if wanted(one)]
    if not mine:
        return
    with st.expander(f"Results kept in the run folder ({len(mine)})", icon=":material/inventory_2:"):
        for one in mine:
            st.markdown(f"**{views.plain(one.name)}**")
            for paragraph in filter(None, one.text.split("\n")):
                st.markdown(views.plain(paragraph))
