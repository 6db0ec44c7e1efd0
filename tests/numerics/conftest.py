from __future__ import annotations

import sys
from pathlib import Path

# `tests.oracles` is imported by name, whichever way pytest was started
sys.path.insert(0, str(Path(__file__).parents[2]))
