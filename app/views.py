"""From results to page elements: sentences, figure, table, explanation and downloads, always in the same order.

`result` draws all of it at once, with the button that pins the result to the report; pages with a layout of their own
call `sentence`, `chart`, `apa`, `explanation`, `described`, `table`, `downloads` and `pin` themselves.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from analyses import wording
from analyses.figures.colour_sets import chosen_name, using_set
from analyses.figures.labels import listed
from analyses.figures.print_style import figure_bytes
from analyses.report import sentences
from analyses.report.guard import csv_bytes
from analyses.stability_marks import stability_sentence
from app import basket
from app.basket import Pinned
from app.inputs import PERSONS, Settings
from app.state import OpenRun
from toolkit.errors import ToolkitError

LOG = logging.getLogger("app")
MIME = {"svg": "image/svg+xml", "png": "image/png", "pdf": "application/pdf"}
CHART = {"displayModeBar": False, "scrollZoom": False}
# tighter than the default, so that a page's main figure stands above the fold on a laptop; figures keep their white
# paper in the dark theme, so that colours mean the same everywhere
STYLE = """<style>
.stMainBlockContainer { padding-left: 2.5rem; padding-right: 2.5rem; max-width: 76rem; }
.stMainBlockContainer h2 { font-size: 1.75rem; padding: 0 0 .2rem; }
.stMainBlockContainer h3 { font-size: 1.2rem; padding: .4rem 0 .2rem; }
.st-key-facts { padding: .55rem .9rem; background: rgba(128, 144, 160, .09); }
.st-key-facts p { font-size: .8rem; line-height: 1.4; margin: 0; }
.st-key-facts [data-testid="stMarkdownContainer"] { margin-bottom: 0; }
[class*="st-key-apa"] :is(pre, code, code *) { font-family: "Source Sans", sans-serif !important; font-size: .95rem; }
[data-testid="stSidebarHeader"] { height: 1.6rem; margin: 0; padding-top: .2rem; }
[data-testid="stSidebarNavItems"] { padding-top: 0; padding-bottom: 0; }
[data-testid="stSidebarNavLink"] { padding-top: 0; padding-bottom: 0; margin: 0; height: 1.65rem; min-height: 0; }
[data-testid="stSidebarNavSeparator"] { margin: .3rem 0; }
[data-testid="stSidebarUserContent"] { padding-top: .4rem; padding-bottom: 1rem; }
[data-testid="stSidebarUserContent"] [data-testid="stVerticalBlock"] { gap: .4rem; }
[data-testid="stSidebarUserContent"] .react-aria-ComboBox input { font-size: .85rem; padding-right: 0; }
button[data-variant="segmented_control"] { padding-left: .7rem; padding-right: .7rem; }
button[data-variant="segmented_control"][data-selected="true"] p { font-weight: 600; }
:is([data-testid="stSidebarNavLink"], [data-testid="stPageLink-NavLink"], .stMain, .stMarkdown a):focus-visible,
[data-testid="stMultiSelectTagsContainer"]:focus-within { outline: 2px solid #2878B5; outline-offset: -2px; }
.stPlotlyChart { background: #FFFFFF; border-radius: .4rem; overflow: hidden; }
@media (prefers-color-scheme: dark) {
  button[data-variant="segmented_control"][data-selected="true"] p { color: #E6EBF0; }
}
</style>"""
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-!|<>~$:&])")


def plain(text: object) -> str:
    """A label for markdown, in which nothing can be read as markup: no link, no picture, no formula, no tag."""
    return _MARKDOWN.sub(r"\\\1", " ".join(str(text).split()))


def spoken(problem: ToolkitError) -> str:
    """What an error says, as sentences that begin with a capital; names of files stay as they are."""
    return re.sub(r"(^|\. )([a-z])(?=[a-z’']*[ ,:;])", lambda match: match[1] + match[2].upper(), problem.sentence)


def of_run(page: Callable[[OpenRun, Settings], None]) -> None:
    """Draw a page about the open run below its header; without an open run say what to do."""

    def drawn() -> None:
        opened: OpenRun | None = st.session_state["opened"]
        settings: Settings = st.session_state["settings"]
        if opened is None:
            st.info("Open a run on the Start page first.")
            return
        header(opened, settings)
        page(opened, settings)

    guarded(drawn)


def guarded(page: Callable[[], None]) -> None:
    """Draw a page; what goes wrong is shown as a sentence, and neither shown nor logged with its data."""
    try:
        page()
    except ToolkitError as problem:
        st.error(plain(spoken(problem)))
    except Exception as problem:
        # the message of an exception can hold cells, so only its kind and place are kept
        place = problem.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        line = f"{place.tb_frame.f_code.co_name}:{place.tb_lineno}" if place else "unknown"
        LOG.error("page failed: %s in %s", type(problem).__name__, line)
        st.error("This page cannot be shown for this run. Choose another run in the sidebar, or fit this one again.")


def unstable(opened: OpenRun, names: Sequence[str], labels: Sequence[str] | None = None) -> None:
    """A warning when a stability analysis found one of these parameters unstable."""
    sentence = stability_sentence(opened.unstable, names, labels)
    if sentence:
        st.warning(plain(sentence))


def header(opened: OpenRun, settings: Settings) -> None:
    """The line that stands on every page: who, how many, what was left out, seed, status."""
    manifest, persons = opened.manifest, opened.persons
    counts = sentences.group_counts(persons, manifest) if settings.by_group else {}
    people = f"{wording.thousands(len(persons))} persons"
    if counts:
        people += " – " + listed([f"{count} {name}" for name, count in counts.items()])
    clusters = int(persons["cluster"].nunique())
    unit = sentences.counted(clusters, str(opened.cluster_name)) if clusters else "none (persons are the unit)"
    rows = int((manifest.get("data") or {}).get("rows") or persons["rows"].sum())
    left_out = "; ".join(sentences.exclusion_sentences(manifest)) or "nobody"
    facts = [
        ("Persons", people, 2.2),
        ("Clusters", unit, 1.1),
        (opened.observation.capitalize(), f"{wording.thousands(rows)} used", 0.8),
        ("Left out", left_out, 2.2),
        ("Seed", str(manifest.get("seed", "–")), 0.5),
        ("Model status", sentences.status_words(manifest), 2.3),
    ]
    with st.container(border=True, key="facts"):
        for column, (name, value, _) in zip(st.columns([fact[2] for fact in facts], gap="small"), facts, strict=True):
            column.markdown(f"**{plain(name)}**  \n{plain(value)}")
    status = manifest.get("status") or {}
    if status.get("converged") is False:
        st.warning(plain(f"This fit did not settle: {sentences.status_words(manifest)} Read its numbers with care."))


def style() -> None:
    """House spacing and sizes; nothing in it comes from a user."""
    st.html(STYLE)


def sentence(text: str) -> None:
    """The plain sentence of a result."""
    st.markdown(plain(text))


def chart(figure: Any, alt: str, key: str, *, selectable: str | Sequence[str] = ()) -> Any:
    """A plotly figure with its alternative text.

    Args:
        figure: plotly.
        alt: the figure in words.
        key: of the element.
        selectable: "points", "box" or "lasso", or several; what is selected is then returned (``event.selection``) and
            the page is drawn again. Every selectable chart needs a select box or table beside it that does the same.
    """
    modes: Any = [selectable] if isinstance(selectable, str) else list(selectable)
    if not modes:
        st.plotly_chart(figure, theme=None, config=CHART, alt=alt, key=key)
        return None
    return st.plotly_chart(figure, theme=None, config=CHART, alt=alt, key=key, on_select="rerun", selection_mode=modes)


def result(
    opened: OpenRun | None,
    pinned: Pinned,
    *,
    drawn: Any = None,
    selectable: str | Sequence[str] = (),
    height: int | None = None,
    digits: int = 2,
    can_save: str = "",
) -> Any:
    """A whole result: plain sentence, figure, APA sentence, how to read it, the figure in words, table, files, pin.

    Args:
        opened: the run it is about; None where it is about a study alone.
        pinned: what is said, drawn and tabulated; see `app.basket.Pinned`.
        drawn: the plotly figure, where it is not ``pinned.figure[0].screen(frame)``.
        selectable: as in `chart`.
        height: of the figure, where the module's own does not fit.
        digits: decimals in the table.
        can_save: why nothing may be saved or pinned (a small group), as a sentence; empty where it may.

    Returns:
        The selection event of the figure; None where nothing can be selected.
    """
    for text in pinned.text:
        sentence(text)
    event = None
    if pinned.figure is not None:
        module, frame = pinned.figure
        sized = {} if height is None else {"height": height}
        shown = module.screen(frame, **sized) if drawn is None else drawn
        event = chart(shown, pinned.in_words, f"chart {pinned.name}", selectable=selectable)
    if pinned.apa:
        apa(*pinned.apa, key=pinned.name)
    _beside(opened, pinned, can_save)
    if pinned.table is not None and pinned.headings:
        table(pinned.table, pinned.headings, key=f"table {pinned.name}", digits=digits)
    return event


def _beside(opened: OpenRun | None, pinned: Pinned, can_save: str) -> None:
    """How to read it, the figure in words, files, and the pin, in one row."""
    columns = st.columns([1.2, 1.2, 1.4])
    with columns[0]:
        if pinned.reading or pinned.reading_text:
            explanation(*pinned.reading, text=pinned.reading_text)
    with columns[1]:
        if pinned.in_words:
            described(pinned.in_words)
    with columns[2]:
        if can_save:
            st.caption(plain(can_save))
            return
        with st.container(horizontal=True):
            said = "\n\n".join([*pinned.text, *pinned.apa])
            downloads(pinned.name, figure=pinned.figure, frame=pinned.saved, text=said, note=pinned.note)
            pin(opened, pinned)


def pin(opened: OpenRun | None, pinned: Pinned) -> None:
    """The button that puts a result into the report's basket, or takes it out again."""
    key = basket.key_of(opened, pinned)
    if basket.holds(key):
        if st.button("In the report", key=f"unpin {pinned.name}", icon=":material/check:", help="Take it out again."):
            basket.take_out(key)
            st.rerun()
    elif st.button("Pin to report", key=f"pin {pinned.name}", icon=":material/push_pin:"):
        basket.put_in(opened, pinned)
        st.rerun()


def apa(*sentences_: str, key: str) -> None:
    """The sentence for a paper, easy to copy."""
    with st.container(key=f"apa-{key}", gap="xsmall"):
        st.markdown(":small[**For a paper (APA 7)**]")
        st.code("\n".join(sentences_), language=None, wrap_lines=True)


def explanation(*names: str, text: str = "") -> None:
    """How to read the figures of these names; ``text`` is of one that has no name."""
    with st.expander("How to read this", icon=":material/help:"):
        if text:
            st.markdown(plain(text))
        for name in names:
            st.markdown(plain(sentences.HOW_TO_READ[name]))


def described(alt: str) -> None:
    """The figure in words, for those who cannot see it and for those who would rather read."""
    with st.expander("The figure in words", icon=":material/notes:"):
        st.markdown(plain(alt))


def table(frame: pd.DataFrame, headings: Mapping[str, str], *, key: str, digits: int = 2, **more: Any) -> Any:
    """A table with readable headings, and fractions with the same number of decimals all the way down."""
    columns = {name: _column(label, frame[name], digits) for name, label in headings.items()}
    return st.dataframe(frame[list(headings)], hide_index=True, column_config=columns, key=key, **more)


def _column(label: str, values: pd.Series, digits: int) -> Any:
    if pd.api.types.is_float_dtype(values):
        return st.column_config.NumberColumn(label, format=f"%.{digits}f")
    return st.column_config.Column(label)


def downloads(
    name: str,
    *,
    figure: tuple[Any, pd.DataFrame] | None = None,
    frame: pd.DataFrame | None = None,
    text: str = "",
    note: str = "",
    label: str = "Save",
) -> None:
    """Buttons that make a file when they are pressed: figure as svg, png, pdf; table as csv; sentences as text.

    Args:
        name: start of the file name; never a pseudonym.
        figure: a module of ``analyses.figures`` and the frame it draws.
        frame: the table, already guarded.
        text: sentences to save.
        note: what was suppressed, if anything.
        label: of the button that opens the list.
    """
    with st.popover(label, icon=":material/download:"):
        if figure is not None:
            st.markdown(":small[**Figure** (183 mm wide, fonts embedded)]")
            for column, kind in zip(st.columns(3), MIME, strict=True):
                with column:
                    _figure_button(name, figure, kind)
        if frame is not None:
            st.markdown(":small[**Table**]")
            _button("csv", lambda: csv_bytes(frame), f"{name}.csv", "text/csv")
        if text:
            st.markdown(":small[**Sentences**]")
            _button("txt", lambda: text.encode("utf-8"), f"{name}.txt", "text/plain")
        if note:
            st.caption(plain(note))


def _figure_button(name: str, figure: tuple[Any, pd.DataFrame], kind: str) -> None:
    module, frame = figure
    _button(kind, lambda: figure_bytes(module.print_figure(frame), kind), f"{name}.{kind}", MIME[kind])


def _button(label: str, content: Callable[[], bytes], file_name: str, mime: str) -> None:
    # made when pressed: drawing four files for every page would make every page slow; in another thread than the page's
    palette = chosen_name()

    def made() -> bytes:
        with using_set(palette):
            return content()

    st.download_button(
        label.upper(), made, file_name, mime, key=f"save {file_name}", on_click="ignore", width="stretch"
    )


def unit_labels(opened: OpenRun, persons: Sequence[str], unit: str) -> list[str] | None:
    """The label of each person's cluster, or None when persons themselves are the unit."""
    if unit == PERSONS or opened.cluster_name is None:
        return None
    clusters = opened.persons.set_index("person")["cluster"].reindex(list(persons))
    # a person outside every family is a family of one
    return [f"person {person}" if pd.isna(label) else str(label) for person, label in clusters.items()]


def with_level(frame: pd.DataFrame, level: float) -> pd.DataFrame:
    """Person effects with intervals at another level: estimate ± z × posterior SD; at 95 % as the run stored them."""
    if abs(level - 0.95) < 1e-9:
        return frame
    z = {0.90: 1.6448536269514722, 0.99: 2.5758293035489004}[round(level, 2)]
    return frame.assign(low=frame["estimate"] - z * frame["sd"], high=frame["estimate"] + z * frame["sd"])
