"""Networks with random effects for any outcome, fitted by Monte Carlo EM (MC-GMENN; Tschalzev et al., 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, field_validator

from toolkit.effects.formula import RandomTerm, parse_random
from toolkit.errors import ConfigError
from toolkit.models.config import LOOP, Config

# of the paper's protocol: what stands in for settings that are left out
PUBLISHED: dict[str, Any] = {
    "sampler": "nuts",
    "transitions": 2,
    "kept": 1,
    "variance_update": "published",
    "population_weight": 1.0,
    "batch": 100,
    "lr": 0.001,
    "epochs": 200,
    "patience": 5,
    "dropout": 0.25,
    "weight_decay": 0.0,
    "schedule": "constant",
    "settle": False,
}
# steps of a training whose epochs are left to the model, and between how many epochs they are taken
STEPS = 2_500
FEWEST, MOST = 10, 400
# numbers that all draws at the end go through, and between how many draws
DRAWN = 20_000_000
FEWEST_DRAWS, MOST_DRAWS = 20, 1_000


class McGmenn(Config):
    """Network with random effects of several grouping factors on every output, fitted by Monte Carlo EM.

    Attributes:
        random: names of grouping factors whose levels differ (``["clinic", "drug"]``), lme4's notation,
            ``(1 + dose | clinic) + (1 | drug)``, or `RandomTerm` objects; None lets the level differ between persons.
            Slopes are features of the data, or powers of them, ``I(t^2)``.
        task: kind of outcome: ``regression``, ``binary``, ``multiclass`` (effects of every class), ``ordinal`` (effects
            on the latent score), ``count`` (effects on the logarithm of the mean).
        covariance: ``diagonal``, or ``full``: the effects of a level on several classes (and its slopes) correlate. By
            default classes are independent of each other and slopes correlate as ``random`` says.
        sampler: how effects are drawn given everything else: ``blocks`` draws all levels of a factor at once, ``nuts``
            all effects jointly (as published), ``hmc`` and ``mala`` are simpler.
        transitions: of the sampler after each epoch.
        kept: draws after each epoch over which the log-likelihood is averaged, the last ones.
        variance_update: ``mean`` takes the mean of the squares of each effect that are expected given all others as
            drawn, and steps by it as far as the information in the data allows; ``em`` is the plain mean square over
            levels and draws; ``published`` the SD of the levels in the last draw.
        population_weight: lambda of the paper: weight of the log-likelihood without effects, which keeps the network a
            good prediction for levels it does not know, at the price of variances that are too small.
        settle: after training the network is held, and draws go on until the variances settle.
        draws: of the effects at the end, from which means, SDs and intervals are taken; None takes 20 with very many
            rows and up to 1,000 with few.
        hidden: widths of the hidden layers.
        dropout: share of units left out at random after every hidden layer but the last, while training.
        lr: highest learning rate of AdamW.
        epochs: passes over the training rows; None takes as many as make about 2,500 steps (10 to 400).
        patience: epochs without a better validation loss before stopping, 10 if not given; not with ``one-cycle``,
            which goes through all epochs.
        weight_decay: of AdamW, on the network's parameters.
        batch: rows of a mini-batch.
        schedule: of the learning rate: ``one-cycle`` over all epochs, ``plateau``, or ``constant``.
        precision: floating point type of the network and the draws.
        as_published: the paper's settings where none are given: one draw of NUTS an epoch, the SD of its levels as the
            new SD, lambda 1, batches of 100, Adam at .001, a quarter of the units dropped, a patience of 5.
    """

    random: str | RandomTerm | Sequence[RandomTerm] | Sequence[str] | None = None
    task: Literal["regression", "binary", "multiclass", "ordinal", "count"] = "regression"
    covariance: Literal["diagonal", "full"] | None = None
    sampler: Literal["blocks", "nuts", "hmc", "mala"] = "blocks"
    transitions: int = Field(default=2, ge=1)
    kept: int = Field(default=2, ge=1)
    variance_update: Literal["mean", "em", "published"] = "mean"
    population_weight: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    settle: bool = True
    draws: int | None = Field(default=None, ge=2)
    hidden: tuple[int, ...] = (100, 50, 25, 12)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    epochs: int | None = Field(default=None, ge=1)  # pyright: ignore[reportIncompatibleVariableOverride] - frozen
    patience: int | None = Field(default=None, ge=1)  # pyright: ignore[reportIncompatibleVariableOverride] - frozen
    weight_decay: float = Field(default=0.1, ge=0, allow_inf_nan=False)
    batch: int = Field(default=512, ge=2)  # pyright: ignore[reportIncompatibleVariableOverride] - frozen, never None
    schedule: Literal["one-cycle", "plateau", "constant"] = "one-cycle"  # pyright: ignore[reportIncompatibleVariableOverride]
    precision: Literal["float64", "float32"] = "float32"
    as_published: bool = False

    @field_validator("random", mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        """Everything becomes a string, so that a manifest holds what lme4 would be told."""
        if value is None:
            return None
        if isinstance(value, list | tuple) and value and all(isinstance(name, str) for name in value):
            value = tuple(RandomTerm(grouping=str(name)) for name in value)
        return " + ".join(str(term) for term in parse_random(value))

    def model_post_init(self, context: Any, /) -> None:
        """Check what a type cannot say, and put the paper's settings where none are given."""
        if self.as_published:
            for name, value in PUBLISHED.items():
                if name not in self.model_fields_set:
                    object.__setattr__(self, name, value)
        super().model_post_init(context)
        plain = {name: value for name, value in LOOP.items() if name != "schedule"}
        self.refuse_settings(plain, "does not apply to a network fitted by Monte Carlo EM")
        if self.kept > self.transitions:
            raise ConfigError(
                f"kept: of {self.transitions} transitions no more draws can be kept",
                code="E302",
                column="kept",
                remedy="raise transitions, or lower kept",
            )
        if self.schedule == "one-cycle" and self.patience is not None:
            raise ConfigError(
                "patience does not apply to a one-cycle schedule, which goes through all epochs",
                code="E302",
                column="patience",
                remedy='use schedule="plateau", or leave patience out',
            )

    @property
    def terms(self) -> tuple[RandomTerm, ...] | None:
        """The random part as terms."""
        return None if self.random is None else parse_random(str(self.random))

    def draws_for(self, numbers: int) -> int:
        """Draws at the end, of which each goes through so many numbers."""
        if self.draws is not None:
            return self.draws
        return min(max(DRAWN // numbers, FEWEST_DRAWS), MOST_DRAWS)

    def epochs_for(self, rows: int) -> int:
        """Passes over so many training rows."""
        if self.epochs is not None:
            return self.epochs
        steps = -(-rows // self.batch)
        return min(max(-(-STEPS // steps), FEWEST), MOST)
