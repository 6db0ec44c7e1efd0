"""Labels that are too long for their place: cut with an ellipsis, or broken over two lines."""

from __future__ import annotations

import textwrap

ELLIPSIS = "…"


def shortened(label: object, most: int) -> str:
    """At most ``most`` characters, the last of them an ellipsis where something was cut."""
    text = " ".join(str(label).split())
    return text if len(text) <= most else text[: max(most - 1, 1)].rstrip() + ELLIPSIS


def broken(label: object, width: int, lines: int = 2) -> list[str]:
    """The label over at most ``lines`` lines of ``width`` characters; what is left over becomes an ellipsis."""
    text = " ".join(str(label).split())
    parts = textwrap.wrap(text, width, break_long_words=True) or [""]
    if len(parts) <= lines:
        return parts
    return [*parts[: lines - 1], shortened(" ".join(parts[lines - 1 :]), width)]


def distinct(labels: list[str], most: int) -> list[str]:
    """Shortened labels of one axis; those that become equal are numbered, so that none stands for two."""
    short = [shortened(label, most) for label in labels]
    if len(set(short)) == len(set(labels)):
        return short
    numbers: dict[str, int] = {}
    for label in labels:
        numbers.setdefault(label, len(numbers) + 1)
    return [
        f"{numbers[label]}: {shortened(label, max(most - 4, 1))}" if short.count(cut) > 1 else cut
        for label, cut in zip(labels, short, strict=True)
    ]
