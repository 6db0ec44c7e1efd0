from __future__ import annotations

import sys
from pathlib import Path

# the small frames of the dashboard's tests serve here too
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "app")]
