"""Writing study.toml so that a person can read it, understand it and change it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from toolkit.data.roles import Proposal
from toolkit.errors import DataError

WIDTH = 100
_MEANING = {
    "person": "whose row it is",
    "cluster": "family, site, ...: who must stay together when labels are shuffled",
    "group": "what is compared; one value per person",
    "time": "order of a person's rows",
    "sequence": "changes where a sequence (a day, a session) ends",
    "state": "the target that holds states",
    "targets": "columns to predict; the first is the default",
    "features": "what predictions are made from; leave out what is known only after the target or in the same answer",
}


def study_text(
    proposal: Proposal,
    *,
    title: str,
    unit: str,
    data: Mapping[str, object],
    origin: str,
    states: Sequence[str] = (),
    group_labels: Mapping[str, str] | None = None,
    questions: Mapping[str, str] | None = None,
    tables: str = "",
) -> str:
    """The text of a study file.

    Args:
        proposal: roles and the reasons for them, which become comments.
        title: for headings and reports.
        unit: what one row is ("prompt", "day").
        data: keys of ``[data]``: the file, and how it is read.
        origin: a comment on where the file comes from.
        states: labels of the states in their order.
        group_labels: label -> what it means.
        questions: column -> its wording in the questionnaire, for comments.
        tables: further tables, as text.
    """
    lines = [
        "# A study: its data, and what each column is for. Change what is wrong, then look: nme check study.toml",
        f"title = {quoted(title)}",
        f"unit = {quoted(unit)}  # what one row is: prompt, day, segment, ...",
        '# citation = "..."',
        '# licence = "..."',
        "",
        "[data]",
        *(f"# {line}" for line in origin.splitlines()),
        *(f"{key} = {toml_value(value)}" for key, value in data.items()),
        "",
        "[roles]",
        *_roles(proposal, states, questions or {}),
    ]
    if group_labels:
        lines += ["", "[group_labels]  # what the values of the group column mean, in figures and sentences"]
        lines += [f"{quoted(label)} = {quoted(text)}" for label, text in group_labels.items()]
    return "\n".join(lines) + "\n" + (f"\n{tables}" if tables else "")


def _roles(proposal: Proposal, states: Sequence[str], questions: Mapping[str, str]) -> list[str]:
    """The lines of ``[roles]``: each with its meaning and the reason it was chosen; empty roles as comments."""
    lines: list[str] = []
    for role, meaning in _MEANING.items():
        value = getattr(proposal.roles, role)
        reason = proposal.reasons.get(role, "")
        lines.append(f"# {role}: {meaning}" + (f" (chosen because of {reason})" if reason and value else ""))
        if value:
            asked = questions.get(value) if isinstance(value, str) else None
            lines.append(f"{role} = {toml_value(value)}" + (f"  # {one_line(asked)}" if asked else ""))
        else:
            lines.append(f'# {role} = "..."' if role not in ("targets", "features") else f"{role} = []")
        if role == "state" and states:
            lines.append(f"states = {toml_value(tuple(states))}  # in the order of figures; the first is the reference")
    if proposal.with_gaps:
        lines.append("# with empty cells, so not among the features (drop these rows or fill the cells in first):")
        lines.append(f"# {one_line(', '.join(proposal.with_gaps))}")
    return lines


def toml_value(value: object) -> str:
    """A text, flag, number or list of texts as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return _list([toml_value(item) for item in value])
    return quoted(str(value))


def quoted(text: str) -> str:
    """A TOML string; JSON's escapes are TOML's but for the delete character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def one_line(text: str) -> str:
    """Text for a comment: one line, no control characters."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _list(items: Sequence[str]) -> str:
    """Items in brackets, over several lines if they are many."""
    flat = f"[{', '.join(items)}]"
    if len(flat) <= WIDTH:
        return flat
    lines, line = [], " "
    for item in items:
        if len(line) + len(item) > WIDTH:
            lines.append(line)
            line = " "
        line += f" {item},"
    return "\n".join(["[", *lines, line, "]"])


def write_text(path: Path, text: str) -> None:
    """Write a small file whole or not at all.

    Raises:
        DataError: E305 if the folder cannot be written to.
    """
    temporary: str | None = None
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".study-", suffix=".part")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        os.replace(temporary, path)
    except OSError:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise DataError(
            "the study's folder cannot be written", code="E305", column="out", remedy="Choose another (--out)"
        ) from None
