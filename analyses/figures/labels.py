"""Words and numbers in figures: readable parameter names, signed numbers, labels that are never read as markup."""

from __future__ import annotations

import html
import math
import re

from analyses import wording

ARROW = " → "
_TRANSITION = re.compile(r"^(?:transitions?|T|crf\.transitions?)\[([^,\]]+),\s*([^\]]+)\]$")
_SLOPE = re.compile(r"^slopes\[([^\]]+)\]$")
_HEAD = re.compile(r"^head\.(bias|weight)(?:\[([^\]]*)\])?$")
_NUMBERED = re.compile(r"^\d+(?:,|$)")
_LAYER = re.compile(r"^layers\.(\d+)\.(bias|weight)(?:\[([^\]]*)\])?$")


def parameter_label(parameter: str) -> str:
    """A person parameter in words, such as ``positive → other``; an unknown name is returned as it is.

    ``transitions[a,b]`` is the score of moving from ``a`` into ``b``; ``layers.2.bias`` a bias, ``layers.2.weight[i]``
    a weight of the third layer; ``layers.0.bias`` and ``layers.0.weight[x]`` without numbers of hidden units are level
    and slope of a linear model, as are ``output.bias`` and ``slopes[x]`` beside a network;
    ``head.weight[valence,x]`` is that of x in an expert's output for valence.
    """
    transition = _TRANSITION.match(parameter)
    if transition:
        return f"{transition[1].strip()}{ARROW}{transition[2].strip()}"
    slope = _SLOPE.match(parameter)
    if slope or parameter == "output.bias":
        return f"slope of {slope[1]}" if slope else "average level"
    head = _HEAD.match(parameter)
    if head:
        names = (head[2] or "").split(",")
        if head[1] == "bias":
            return f"level (bias) of {names[0]}" if names[0] else "level (bias)"
        return f"weight {names[-1]} on {names[0]}" if len(names) > 1 else f"weight {names[0]}"
    layer = _LAYER.match(parameter)
    if not layer:
        return parameter
    if layer[1] == "0" and not _NUMBERED.match(layer[3] or ""):  # a linear model: what varies is level and slopes
        names = (layer[3] or "").split(",")
        if layer[2] == "bias":
            return f"average level of {names[0]}" if names[0] else "average level"
        if names[-1]:
            return f"slope of {names[-1]}" + (f" on {names[0]}" if len(names) > 1 else "")
    what = "level (bias)" if layer[2] == "bias" else "weight"
    where = f" {layer[3]}" if layer[3] else ""
    if layer[2] == "bias" and layer[3] and not _NUMBERED.match(layer[3]):
        where = f" of {layer[3]}"
    return f"{what}{where}, layer {int(layer[1]) + 1}"


def is_transition(parameter: str) -> bool:
    """Whether a parameter is one transition score of a CRF."""
    return _TRANSITION.match(parameter) is not None


def transition_of(parameter: str) -> tuple[str, str] | None:
    """(from, into) of a transition's parameter; None for any other."""
    found = _TRANSITION.match(parameter)
    return None if found is None else (found[1].strip(), found[2].strip())


def number(value: float, digits: int = 2) -> str:
    """A number with a true minus sign; a dash where it is undefined, since figures have no room for words."""
    return "–" if math.isnan(value) else wording.number(value, digits)


def signed(value: float, digits: int = 1) -> str:
    """A number that always carries its sign, ``+2.8`` or ``−0.6``; zero has none."""
    return "–" if math.isnan(value) else wording.signed(value, digits)


def screen_text(label: object) -> str:
    """A label for plotly, which would read ``<b>`` and ``<a>`` as markup: shown as written instead."""
    return html.escape(str(label), quote=False)


def print_text(label: object) -> str:
    """A label for matplotlib, which would read ``$...$`` as a formula: shown as written instead."""
    return str(label).replace("$", r"\$")


def listed(parts: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1] if parts else ""
