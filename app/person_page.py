"""Everything about one person on one page, to save: marked identifiable, behind a tick."""

from __future__ import annotations

import pandas as pd

from analyses.figures import effect_layers, marked_case, person_matrix, person_series, state_paths, transition_network
from analyses.figures.labels import parameter_label
from analyses.report import sentences
from analyses.report.document import Section
from analyses.report.figure_block import report_figure
from analyses.report.tables import ReportTable
from app.person_effects import marked_frame
from app.person_over_time import Series, path_frame, path_words
from app.person_shown import AVERAGE, Person, offer_document
from app.person_transitions import difference_words, matrix_frame, network_frame


def offer(person: Person) -> None:
    """The tick and the buttons at the end of the page."""
    offer_document(person, lambda: sections(person))


def sections(person: Person) -> list[Section]:
    """What the page holds: rows, transitions, course, effects."""
    row, opened = person.row, person.opened
    said = [
        f"{int(row['rows'])} {opened.observation}: {int(row['rows_train'])} used for fitting, "
        f"{int(row['rows_validation'])} for deciding when to stop, {int(row['rows_test'])} kept for testing.",
        sentences.model_sentence(opened.manifest),
    ]
    if not person.effects.empty and person.varying["reliability"].notna().any():
        said.append(sentences.reliability_sentence(person.varying, int(row["rows_train"])))
    found = [Section(title="In short", text=said)]
    if opened.has_states and person.name in set(opened.transitions["person"]):
        found += _of_states(person)
    elif (opened.predictions["person"] == person.name).any():
        drawn = Series(opened.outcome)
        frame = person_series.tidy(opened.predictions, person.name)
        figure = report_figure(drawn, frame, f"{opened.outcome} over time, observed and predicted")
        found.append(Section(title="Over time", text=[drawn.alt_text(frame)], figure=figure,
                             how_to_read=sentences.HOW_TO_READ["person_series"]))  # fmt: skip
    return [*found, *_of_effects(person)]


def _of_states(person: Person) -> list[Section]:
    frame = matrix_frame(person, "expected", AVERAGE)
    drawn = network_frame(frame, person.opened.run.states or ())
    paths = path_frame(person)
    found = [
        Section(
            title="Transitions",
            text=[difference_words(frame)],
            figure=report_figure(person_matrix, frame, "Transitions expected of this person and of the average person"),
            how_to_read=sentences.HOW_TO_READ["person_matrix"],
        ),
        Section(title="Network", figure=report_figure(transition_network, drawn, "The same as networks")),
    ]
    if not paths.empty:
        figure = report_figure(state_paths, paths, "States over time, observed and along the most likely paths")
        found.append(Section(title="Over time", text=[path_words(paths)], figure=figure))
    return found


def _of_effects(person: Person) -> list[Section]:
    if person.effects.empty:
        return []
    layers = list(dict.fromkeys(effect_layers.layer_of(str(name)) for name in person.effects["parameter"]))
    layer = "Transitions" if "Transitions" in layers else layers[-1]
    frame = marked_frame(person, layer, AVERAGE)
    effects = person.effects
    columns = ["estimate", "low", "high", "reliability"]
    table = pd.DataFrame({"parameter": [parameter_label(str(name)) for name in effects["parameter"]]})
    table = pd.concat([table, effects[columns].reset_index(drop=True)], axis=1)
    headings = {"parameter": "Parameter", "estimate": "Difference", "low": "From", "high": "To",
                "reliability": "Reliability"}  # fmt: skip
    return [
        Section(
            title="Beside the others",
            text=[marked_case.alt_text(frame)],
            figure=report_figure(marked_case, frame, "Effects of all persons, this one marked"),
        ),
        Section(
            title="All effects",
            table=ReportTable(frame=table, title="Effects of This Person, Differences From the Average",
                              headings=headings),
        ),
    ]  # fmt: skip
