"""Statistical symbols are set in italics (APA 7, section 6.44): where they stand in headings, notes and sentences."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LETTERS = "p|n|N|M|SD|SE|r|R|t|F|df|V|b|d"
# in a sentence a letter is a symbol only where a number follows it: p = .03, r(36) = .91, F(2, 40) = 1.2
_IN_SENTENCES = re.compile(
    rf"(?<![\w’'])({_LETTERS})(?=(?:\([^()]*\))?[ \u00a0][=<>][ \u00a0])"
    r"|\b(?:SD|M(?= and SD\b)|p(?= is\b))(?![\w’'-])"
)
_IN_HEADINGS = re.compile(rf"(?<![\w’'-])({_LETTERS})(?![\w’'])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A piece of text, in italics or upright."""

    text: str
    italic: bool = False


def sentence_runs(text: str) -> list[Run]:
    """A sentence in pieces, with the symbols of its statistics in italics."""
    return _runs(text, _IN_SENTENCES)


def heading_runs(label: str) -> list[Run]:
    """A heading of a table in pieces: ``p (FDR)`` has an italic p."""
    return _runs(label, _IN_HEADINGS)


def _runs(text: str, symbol: re.Pattern[str]) -> list[Run]:
    runs: list[Run] = []
    place = 0
    for found in symbol.finditer(text):
        if found.start() > place:
            runs.append(Run(text=text[place : found.start()]))
        runs.append(Run(text=found[0], italic=True))
        place = found.end()
    if place < len(text) or not runs:
        runs.append(Run(text=text[place:]))
    return runs
