"""Names of the kernels."""

from __future__ import annotations

from typing import Literal

KernelName = Literal["rbf", "matern32", "matern52", "exponential"]
