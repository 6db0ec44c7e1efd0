"""Numbers as APA 7 writes them: exact p to three decimals, no leading zero for p and r, a true minus sign."""

# pyright: strict
from __future__ import annotations

import math

MINUS = "−"
UNDEFINED = "not defined"

METHODS = {
    "percentile": "percentile bootstrap",
    "bca": "BCa bootstrap",
    "bootstrap-t": "bootstrap-t",
    "symmetric-t": "symmetric bootstrap-t",
}


def number(value: float, digits: int = 2) -> str:
    """``-1.234`` becomes ``−1.23`` with U+2212; what rounds to zero carries no sign; NaN becomes words."""
    if math.isnan(value):
        return UNDEFINED
    shown = f"{abs(value):.{digits}f}"
    return MINUS + shown if value < 0 and float(shown) != 0 else shown


def signed(value: float, digits: int = 2) -> str:
    """Like `number`, with a plus sign where the value is positive."""
    shown = number(value, digits)
    return "+" + shown if value > 0 and float(shown) != 0 else shown


def points(value: float, digits: int = 1) -> str:
    """A probability or a difference of probabilities in percentage points, without the words: 0.028 becomes 2.8."""
    return number(100 * value, digits)


def bounded(value: float, digits: int = 2) -> str:
    """A quantity that cannot exceed 1 in size (r, p, Cramér's V), without its leading zero: .91, −.30, 1.00."""
    shown = number(value, digits)
    return shown.replace("0.", ".", 1) if shown.startswith(("0.", MINUS + "0.")) else shown


def p_text(value: float) -> str:
    """``p = .006``, ``p < .001`` below that, ``p > .999`` where it would round to one."""
    if math.isnan(value):
        return f"p {UNDEFINED}"
    if value < 0.001:
        return "p < .001"
    if value >= 0.9995:
        return "p > .999"
    return f"p = {bounded(value, 3)}"


def ci_text(low: str, high: str, level: float = 0.95) -> str:
    """``95% CI [a, b]`` around two numbers that are already text."""
    return f"{percent(level)} CI [{low}, {high}]"


def monte_carlo_text(low: float, high: float) -> str:
    """The interval that the limited number of permutations leaves around a p-value."""
    if high < 0.001:
        return "Monte Carlo 95% CI below .001"
    return f"Monte Carlo {ci_text(p_end(low), p_end(high))}"


def p_end(value: float) -> str:
    """An end of an interval of p: ``.004``, ``< .001`` where three decimals would show zero."""
    return "< .001" if value < 0.0005 else bounded(value, 3)


def persons(count: int) -> str:
    """``1 person``, ``1,200 persons``."""
    return f"{thousands(count)} {'person' if count == 1 else 'persons'}"


def percent(share: float) -> str:
    """0.95 becomes ``95%``, 0.995 becomes ``99.5%``."""
    return f"{100 * share:.10g}%"


def thousands(count: int) -> str:
    """9999 becomes ``9,999``."""
    return f"{count:,}"


def plural(word: str) -> str:
    """``families`` for ``family``, ``sites`` for ``site``."""
    return f"{word[:-1]}ies" if word.endswith("y") and word[-2:-1] not in "aeiou" else f"{word}s"
