"""Matrices that a covariate has shifted already: comparing groups by them would find what the model was told."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from toolkit.errors import ToolkitWarning


def shift_warning(manifest: Mapping[str, Any], value: str) -> str | None:
    """What to say before groups are compared by matrices of a run with transition covariates; None without any."""
    given = manifest.get("config", {}).get("transition_covariates") or ()
    if not given or value == "observed":
        return None
    does = "shifts" if len(given) == 1 else "shift"
    return (
        f"in this model {', '.join(given)} {does} the transitions of everybody alike, so that matrices of the model "
        "differ by it without noise and intervals between groups are too short; the table of transition covariates "
        "has the differences with their standard errors, and observed transitions can be compared"
    )


def warn_of_shifts(manifest: Mapping[str, Any], value: str) -> None:
    """W230 where `shift_warning` has something to say."""
    words = shift_warning(manifest, value)
    if words is not None:
        warnings.warn(ToolkitWarning(words, code="W230"), stacklevel=3)
