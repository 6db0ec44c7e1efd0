"""Data with known truth, one generator a module."""

from __future__ import annotations

from toolkit.data.demo.dyads import DyadsTruth as DyadsTruth
from toolkit.data.demo.dyads import dyads as dyads
