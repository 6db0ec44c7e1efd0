"""The length of a step of the joint samplers: the published halving, and dual averaging."""

from __future__ import annotations

import math
from dataclasses import dataclass

from toolkit.sampling.protocol import STOPPED_BELOW

SHRINKAGE, DELAY, DECAY = 0.05, 10.0, 0.75


@dataclass(slots=True, kw_only=True)
class StepSize:
    """A step and what its adaptation remembers.

    Attributes:
        now: the step in use.
        averaged: running average of log steps (dual averaging).
        error: running average of target − acceptance.
        seen: transitions so far.
        centre: where log steps are shrunk to, log(10 · first step).
    """

    now: float
    averaged: float = 0.0
    error: float = 0.0
    seen: int = 0
    centre: float = 0.0

    def halve_if_stopped(self, acceptance: float | None) -> None:
        """Half the step when the last call accepted less than one in a thousand; never longer again (published)."""
        if acceptance is not None and acceptance < STOPPED_BELOW:
            self.now *= 0.5

    def learn(self, acceptance: float, wanted: float, transitions: int) -> None:
        """Dual averaging for the first `transitions`, then the averaged step (Hoffman & Gelman, 2014, algorithm 5)."""
        if self.seen >= transitions:
            return
        if self.seen == 0:
            self.centre = math.log(10 * self.now)
        self.seen += 1
        share = 1 / (self.seen + DELAY)
        self.error += share * (wanted - acceptance - self.error)
        log_step = self.centre - math.sqrt(self.seen) / SHRINKAGE * self.error
        weight = self.seen**-DECAY
        self.averaged += weight * (log_step - self.averaged)
        self.now = math.exp(self.averaged if self.seen == transitions else log_step)
