"""Settings of the whole suite."""

from __future__ import annotations

import os

# Small models gain nothing from a second thread and lose a lot when other work keeps the cores busy.
os.environ.setdefault("OMP_NUM_THREADS", "1")
