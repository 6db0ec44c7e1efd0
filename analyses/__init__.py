"""Analysis modules: plain arrays or run folders in, frozen results out. Never torch, never streamlit."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analyses.base_rates import base_rate_test as base_rate_test
    from analyses.baseline import bias_baseline as bias_baseline
    from analyses.comparison import paired_bootstrap as paired_bootstrap
    from analyses.hsic import hsic_test as hsic_test
    from analyses.transitions import compare_transitions as compare_transitions

_HOME = {
    "base_rate_test": "analyses.base_rates",
    "bias_baseline": "analyses.baseline",
    "paired_bootstrap": "analyses.comparison",
    "hsic_test": "analyses.hsic",
    "compare_transitions": "analyses.transitions",
}


def __getattr__(name: str) -> Any:
    """Import the module a public name lives in, at its first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'analyses' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """The public names, for completion in a console."""
    return sorted(_HOME)
