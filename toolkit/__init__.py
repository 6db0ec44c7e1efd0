"""Trained-model layer: personalised neural networks, their data, their runs.

The names below are the public ones. They are resolved on first use, so that ``import toolkit`` stays quick and never
imports torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toolkit.data.grouped import GroupedDataset as GroupedDataset
    from toolkit.data.sequences import SequenceBatch as SequenceBatch
    from toolkit.data.study import Study as Study
    from toolkit.errors import DataError as DataError
    from toolkit.errors import ToolkitWarning as ToolkitWarning
    from toolkit.runs.fitting import fit as fit
    from toolkit.runs.folder import load_run as load_run

__version__ = "0.1.0"

_HOME = {
    "GroupedDataset": "toolkit.data.grouped",
    "SequenceBatch": "toolkit.data.sequences",
    "Study": "toolkit.data.study",
    "DataError": "toolkit.errors",
    "ToolkitWarning": "toolkit.errors",
    "fit": "toolkit.runs.fitting",
    "load_run": "toolkit.runs.folder",
}


def __getattr__(name: str) -> Any:
    """Import the module a public name lives in, at its first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'toolkit' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """The public names, for completion in a console."""
    return sorted(_HOME)
