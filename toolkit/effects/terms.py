"""Which parameters of a network vary from person to person."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase

from toolkit.errors import ConfigError

TRANSITIONS = "transitions"
SLOPES = "slopes"
CHAIN_NAMES = (TRANSITIONS, SLOPES, "start", "end")
GAPS = "gaps"  # distances between the thresholds of an ordered outcome


def resolve_terms(effects: str | Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """Names of the parameters with a person-specific part.

    ``first`` and ``last`` are the first and the last layer in the order in which the network names its parameters: the
    order its layers were made in. A layer is what parameters have in common up to the last dot.

    Args:
        effects: ``"last"``, ``"first"``, ``"all"``, ``"T"`` (the transition matrix), a sum of them such as
            ``"last+T"``, or parameter names and wildcards (``"layers.0.bias"``, ``"*.bias"``), one or several.
            ``"all"`` includes the transition matrix.
        names: the network's parameter names in order, as ``module.named_parameters()`` gives them.

    Raises:
        ConfigError: E302 when a name matches nothing; the nearest names are offered.
    """
    wanted = [part.strip() for part in effects.split("+")] if isinstance(effects, str) else list(effects)
    chosen = {name for part in wanted for name in _matching(part, names)}
    return tuple(name for name in names if name in chosen)


def _matching(part: str, names: Sequence[str]) -> list[str]:
    """Parameters that one word of the specification means."""
    layers = layer_names(names)
    places = {"first": layers[:1], "last": layers[-1:]}
    words = {"all": "*", "T": TRANSITIONS}
    if part in places:
        found = [name for name in names if "." in name and layer_of(name) in places[part]]
    else:
        found = [name for name in names if fnmatchcase(name, words.get(part, part))]
    # start and end scores stay shared: one sequence start a person cannot carry a person effect; so do the slopes of
    # the transitions on covariates, which say how persons differ, and thresholds, which say what the answers mean
    found = [name for name in found if name not in {"start", "end", SLOPES, GAPS}]
    if not found:
        near = difflib.get_close_matches(part, [*places, *words, *names], n=3, cutoff=0.3)
        raise ConfigError(
            f"effects: '{part}' matches no parameter of this network",
            code="E302",
            column="effects",
            remedy=f"nearest: {', '.join(near or ['last', 'all'])}; parameters: {', '.join(names)}",
        )
    return found


def layer_names(names: Sequence[str]) -> list[str]:
    """Layers in the order of their parameters; parameters of the network itself belong to none."""
    return list(dict.fromkeys(layer_of(name) for name in names if "." in name))


def layer_of(name: str) -> str:
    """The layer a parameter belongs to: its name up to the last dot."""
    return name.rpartition(".")[0]
