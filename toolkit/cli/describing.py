"""``nme describe``: what is in a study, as text, JSON or one page of HTML; small groups are not shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analyses.report.guard import suppressed_counts
from analyses.report.study_description import guarded_days, hidden_groups, page, sentences
from toolkit.cli.answers import Answer
from toolkit.data.description import Description, describe_study
from toolkit.data.study import Study


def run_describe(path: Path, html: Path | None) -> Answer:
    """Describe a study; see the command for the arguments."""
    study = Study.read(path)
    found = describe_study(study)
    hidden = hidden_groups(found)
    if html is not None:
        from analyses.report.document import write_report

        write_report(page(found, study, hidden), html)
    kept = [f"Page: {html}"] if html is not None else []
    return Answer(
        text="\n".join([*sentences(found, study, hidden), *kept]), data=_data(found, study.definitions(), hidden, html)
    )


def _data(found: Description, definitions: Sequence[str], hidden: set[str], html: Path | None) -> dict[str, Any]:
    """For JSON: no single person, no small group."""
    data = found.as_data()
    data["states"] = [row for row in data["states"] if row["group"] not in hidden]
    data["table_one"] = [{k: v for k, v in row.items() if k not in hidden} for row in data["table_one"]]
    data["by_day"] = guarded_days(found.by_day).to_dict("records")
    data["definitions"] = list(definitions)
    data["group_sizes"] = suppressed_counts(found.group_sizes)
    return data | ({"page": str(html)} if html is not None else {})
