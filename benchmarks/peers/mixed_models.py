"""What comparisons with lme4 and GPBoost share: medians, ratios, how far estimates are apart, and their table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

Found = dict[str, Any]


def against_ours(found: Found, spent: Mapping[str, Sequence[float]]) -> Found:
    """Each model's median CPU seconds, ratio to ours, and how far its SDs and log-likelihood are from ours.

    Args:
        found: estimates by model, ``ours`` among them: ``sd`` and ``log_likelihood``; completed in place.
        spent: CPU seconds of every round by model.
    """
    base = statistics.median(spent["ours"])
    for name, own in found.items():
        cpu = statistics.median(spent[name])
        own |= {"cpu_s": cpu, "times_ours": cpu / base}
        own["sd_difference"] = max(abs(a / b - 1.0) for a, b in zip(own["sd"], found["ours"]["sd"], strict=True))
        own["log_likelihood_difference"] = own["log_likelihood"] - found["ours"]["log_likelihood"]
    return found


def shown(name: str, found: Found) -> None:
    """A case as a table."""
    print(f"\n{name}")
    for model, own in found.items():
        sds = " ".join(f"{value:.5f}" for value in own["sd"])
        print(
            f"  {model:8s} {own['cpu_s']:8.3f} s CPU {own['times_ours']:7.1f}x  log-likelihood "
            f"{own['log_likelihood']:15.5f}  SDs {sds}",
            flush=True,
        )
