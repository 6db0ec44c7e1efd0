"""Random effects of a mixed model as objects, or as the string lme4's users know: ``(1 + t | person) + (1 | item)``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.errors import ConfigError

POWER = re.compile(r"I\((.+)\^([2-9])\)")
EXAMPLE = "(1 + t | person) + (1 | item)"
TOKEN = re.compile(r"\s*(`[^`]+`|\|\||[()|+:/*^~-]|[^\s()|+:/*^~`-]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomTerm:
    """Effects of one grouping factor that may correlate with each other.

    Attributes:
        grouping: the factor whose levels have effects.
        slopes: features whose coefficient varies.
        intercept: whether the level varies.
        correlated: whether correlations are estimated (``|``) or all effects are independent (``||``).
    """

    grouping: str
    slopes: tuple[str, ...] = ()
    intercept: bool = True
    correlated: bool = True

    def __post_init__(self) -> None:
        """Refuse a term in which nothing varies, or something twice (E302)."""
        if not self.intercept and not self.slopes:
            raise _wrong(f"nothing varies by '{self.grouping}'")
        if len(set(self.slopes)) < len(self.slopes):
            raise _wrong(f"a slope is named twice for '{self.grouping}'")

    @property
    def blocks(self) -> tuple[int, ...]:
        """Sizes of the groups of effects that correlate."""
        size = int(self.intercept) + len(self.slopes)
        return (size,) if self.correlated else (1,) * size

    def __str__(self) -> str:
        """The term as lme4 writes it."""
        inside = " + ".join(["1" if self.intercept else "0", *(_quoted(name) for name in self.slopes)])
        return f"({inside} {'|' if self.correlated else '||'} {_quoted(self.grouping)})"


def power_of(slope: str) -> tuple[str, int]:
    """The feature of a slope and its power: ``I(t^2)`` is t and 2, ``t`` is t and 1."""
    found = POWER.fullmatch(slope)
    return (slope, 1) if found is None else (found[1], int(found[2]))


def parse_random(random: str | RandomTerm | Sequence[RandomTerm]) -> tuple[RandomTerm, ...]:
    """Terms of a string or objects.

    Args:
        random: terms in brackets, added up. Before the bar ``1`` (the intercept, there unless ``0`` is named), features
            and powers of them, ``I(t^2)``; after it the grouping factor. ``||`` leaves correlations out. Names with
            blanks stand between backticks.

    Raises:
        ConfigError: E302 says what is wrong with the string.
    """
    if isinstance(random, RandomTerm):
        return (random,)
    if not isinstance(random, str):
        found = tuple(random)
        if not found:
            raise _wrong("no term is given")
        return found
    return _Reader(random).terms()


class _Reader:
    """Reads a string token by token."""

    def __init__(self, text: str) -> None:
        self.tokens: list[str] = []
        place = 0
        while text[place:].strip():
            found = TOKEN.match(text, place)
            if found is None:
                raise _wrong("a backtick is not closed")
            self.tokens.append(found.group(1))
            place = found.end()
        self.place = 0

    def terms(self) -> tuple[RandomTerm, ...]:
        """All terms up to the end."""
        found = [self.term()]
        while self.place < len(self.tokens):
            self.expect("+")
            found.append(self.term())
        return tuple(found)

    def term(self) -> RandomTerm:
        """One term in brackets."""
        self.expect("(")
        intercept, slopes = True, list[str]()
        while True:
            word = self.power() if self.tokens[self.place : self.place + 2] == ["I", "("] else self.name()
            if word in ("0", "1"):
                intercept = word == "1"
            else:
                slopes.append(word if POWER.fullmatch(word) else _plain(word))
            bar = self.next()
            if bar in ("|", "||"):
                break
            if bar != "+":
                raise _wrong(f"'{bar}' stands where '+' or '|' is expected")
        grouping = _plain(self.name())
        end = self.next()
        if end in (":", "/"):
            raise _wrong(
                "interactions of grouping factors ('a:b', 'a/b') are not read",
                remedy="make a column that tells their combinations apart, and name it as one more grouping factor",
            )
        if end != ")":
            raise _wrong(f"'{end}' stands where ')' is expected")
        return RandomTerm(grouping=grouping, slopes=tuple(slopes), intercept=intercept, correlated=bar == "|")

    def power(self) -> str:
        """A power of a feature, ``I(t^2)``."""
        self.next()
        self.expect("(")
        feature = _plain(self.name())
        self.expect("^")
        power = self.next()
        self.expect(")")
        if power not in "23456789":
            raise _wrong(f"'{power}' is no power from 2 to 9")
        return f"I({feature}^{power})"

    def name(self) -> str:
        """A name, 0 or 1."""
        word = self.next()
        if word in "()|+:/*^~-||" and not word.startswith("`"):
            raise _wrong(f"'{word}' stands where a name is expected")
        if self.place < len(self.tokens) and self.tokens[self.place] == "(":
            raise _wrong(
                f"functions such as '{word}(...)' are not read", remedy="add a column with its values, and name that"
            )
        return word

    def next(self) -> str:
        """The next token."""
        if self.place >= len(self.tokens):
            raise _wrong("it ends too early")
        self.place += 1
        return self.tokens[self.place - 1]

    def expect(self, token: str) -> None:
        """Take a token that has to be there."""
        found = self.next()
        if found != token:
            raise _wrong(f"'{found}' stands where '{token}' is expected")


def _plain(word: str) -> str:
    return word.strip("`")


def _quoted(name: str) -> str:
    if POWER.fullmatch(name):
        feature, power = power_of(name)
        return f"I({_quoted(feature)}^{power})"
    return name if re.fullmatch(r"[^\s()|+:/*^~`-]+", name) else f"`{name}`"


def _wrong(what: str, remedy: str | None = None) -> ConfigError:
    return ConfigError(
        f"random: {what}", code="E302", column="random", remedy=remedy or f"write for instance {EXAMPLE}"
    )
