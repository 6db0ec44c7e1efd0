"""Logistic mixed models by their marginal likelihood (Bates, Maechler, Bolker and Walker, 2015; lme4's ``glmer``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, field_validator

from toolkit.effects.formula import RandomTerm, parse_random
from toolkit.models.config import Configuration

NODES = 15


class Glmm(Configuration):
    """Logistic mixed model of an outcome with two classes: every feature has a fixed effect on the log-odds.

    Attributes:
        random: lme4's notation, ``(1 + t | person) + (1 | item)``, or `RandomTerm` objects, which are kept as that
            notation; None lets the level differ between persons. The grouping factors are those of the data, the slopes
            are features of the data.
        nodes: of the adaptive Gauss-Hermite quadrature, for one grouping factor with a single effect; 15 if not given.
            1 is Laplace's approximation, the only one for several effects.
    """

    random: str | RandomTerm | Sequence[RandomTerm] | None = None
    nodes: int | None = Field(default=None, ge=1, le=100)

    @field_validator("random", mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        """Everything becomes a string, so that a manifest holds what lme4 would be told."""
        return value if value is None else " + ".join(str(term) for term in parse_random(value))

    @property
    def terms(self) -> tuple[RandomTerm, ...] | None:
        """The random part as terms."""
        return None if self.random is None else parse_random(self.random)

    @property
    def task(self) -> Literal["binary"]:
        """Kind of outcome."""
        return "binary"

    @property
    def approximation(self) -> Literal["auto", "laplace"]:
        """How posteriors of new persons are taken."""
        return "laplace" if self.nodes == 1 else "auto"
