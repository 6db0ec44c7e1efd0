"""How many threads a fit should use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

# Below so many numbers in the widest layer a second thread waits more than it works, most of all where other programs
# keep the cores busy.
SMALL = 2_000_000


@contextmanager
def threads_for(rows: int, widest: int) -> Iterator[None]:
    """One thread for a small fit, as many as torch has been given for a large one; the setting is put back afterwards.

    Args:
        rows: of the data.
        widest: units of the widest layer, features included.
    """
    before = torch.get_num_threads()
    if rows * widest < SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
