"""Mixed models with a network for the fixed effects (Simchoni and Rosset, 2023): ``y = f(X) + Z b + e``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, field_validator

from toolkit.effects.formula import RandomTerm, parse_random
from toolkit.errors import ConfigError
from toolkit.models.config import LOOP, Config
from toolkit.models.spatial_settings import WIDTHS, Kernel, check_spatial

# of the paper's protocol: what stands in for settings that are left out
PUBLISHED: dict[str, Any] = {
    "batch": 30,
    "lr": 0.001,
    "epochs": 500,
    "patience": 10,
    "dropout": 0.25,
    "weight_decay": 0.0,
    "schedule": "constant",
    "likelihood": "batch",
}
# steps of a training whose epochs are left to the model, and between how many epochs they are taken
STEPS = 2_500
FEWEST, MOST = 10, 400


class Lmmnn(Config):
    """Network with random effects, fitted by the likelihood of mini-batches and polished by that of all rows.

    Attributes:
        random: lme4's notation, ``(1 + t | person) + (1 | item)``, or `RandomTerm` objects, which are kept as that
            notation; None lets the level differ between persons. Slopes are features of the data, or powers of them,
            ``I(t^2)``; what is common to all persons is the network's.
        task: ``regression``, or ``binary`` for an outcome with two classes, whose log-odds the effects are added to.
        nodes: of the adaptive Gauss-Hermite quadrature, for ``binary`` with one grouping factor and a single effect; 5
            in mini-batches and 15 at the end if not given. 1 is Laplace's approximation, the only one for several.
        level_map: the effects of the levels of one factor as a learned map of fewer effects, ``g(Z)``: ``linear`` (a
            matrix with a row for every level), or widths of layers between the level's indicator and the columns.
        mapped: how many effects are mapped; a tenth of the levels if not given.
        spatial: features that are coordinates, ``("lat", "lon")``: a random field over places is added, and the network
            does not see them. Without ``random`` nothing else varies.
        kernel: how the field's correlation falls with the distance d: ``rbf`` exp(-d^2 / (2 range)), ``matern32``,
            ``matern52``, ``exponential``; ``embedded`` learns it: a second network of the coordinates whose outputs are
            multiplied with independent effects.
        embedding: widths of that network's layers.
        hidden: widths of the hidden layers.
        dropout: share of units left out at random after every hidden layer but the last, while training.
        lr: highest learning rate of AdamW.
        epochs: passes over the training rows; None takes as many as make about 2,500 steps (10 to 400).
        patience: epochs without a better validation loss before stopping, 10 if not given; not with ``one-cycle``,
            which goes through all epochs.
        weight_decay: of AdamW, on the network's parameters.
        batch: rows of a mini-batch.
        batch_by: None or ``rows`` deals rows out at random; ``persons`` keeps all rows of a person in one batch.
        schedule: of the learning rate: ``one-cycle`` over all epochs, ``plateau``, or ``constant``.
        likelihood: ``all`` goes by the likelihood of all training rows in the second half of the training, with the
            effects predicted anew after each epoch, which leaves less of them to the network; ``batch`` by that of
            mini-batches throughout, as published.
        precision: floating point type of the network; variances are estimated in double precision at the end.
        polish: estimate all variances by exact maximum likelihood of all training rows once the network is trained.
            Without it they are those that mini-batches led to.
        as_published: the paper's protocol: rows sorted by the person and never shuffled, batches of 30, Adam at
            .001, a quarter of the units dropped, up to 500 epochs with a patience of 10, and the last tenth of the
            sorted rows for validation. Settings that are given keep their values.
    """

    random: str | RandomTerm | Sequence[RandomTerm] | None = None
    task: Literal["regression", "binary"] = "regression"
    nodes: int | None = Field(default=None, ge=1, le=100)
    level_map: Literal["linear"] | tuple[int, ...] | None = None
    mapped: int | None = Field(default=None, ge=1)
    spatial: tuple[str, ...] | None = None
    kernel: Kernel = "rbf"
    embedding: tuple[int, ...] = WIDTHS
    hidden: tuple[int, ...] = (100, 50, 25, 12)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    epochs: int | None = Field(default=None, ge=1)  # pyright: ignore[reportIncompatibleVariableOverride] - frozen
    patience: int | None = Field(default=None, ge=1)  # pyright: ignore[reportIncompatibleVariableOverride] - frozen
    weight_decay: float = Field(default=0.01, ge=0, allow_inf_nan=False)
    batch: int = Field(default=512, ge=2)  # pyright: ignore[reportIncompatibleVariableOverride] - frozen, never None
    schedule: Literal["one-cycle", "plateau", "constant"] = "one-cycle"  # pyright: ignore[reportIncompatibleVariableOverride]
    precision: Literal["float64", "float32"] = "float32"
    likelihood: Literal["all", "batch"] = "all"
    polish: bool = True
    as_published: bool = False

    @field_validator("random", mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        """Everything becomes a string, so that a manifest holds what lme4 would be told."""
        return value if value is None else " + ".join(str(term) for term in parse_random(value))

    def model_post_init(self, context: Any, /) -> None:
        """Check what a type cannot say, and put the paper's settings where none are given."""
        if self.as_published:
            for name, value in PUBLISHED.items():
                if name not in self.model_fields_set:
                    object.__setattr__(self, name, value)
            if self.batch_by is not None:
                raise ConfigError(
                    "batch_by: as published, batches follow the sorted rows", code="E302", column="batch_by"
                )
        super().model_post_init(context)
        check_spatial(self)
        plain = {name: value for name, value in LOOP.items() if name not in ("batch_by", "schedule")}
        self.refuse_settings(plain, "does not apply to a network with a mixed model's likelihood")
        if self.schedule == "one-cycle" and self.patience is not None:
            raise ConfigError(
                "patience does not apply to a one-cycle schedule, which goes through all epochs",
                code="E302",
                column="patience",
                remedy='use schedule="plateau", or leave patience out',
            )

        self._check_map()
        if self.nodes is not None and self.task != "binary":
            raise ConfigError("nodes: it is a setting of task 'binary'", code="E302", column="nodes")

    def _check_map(self) -> None:
        """Refuse a map where there is nothing for it."""
        if self.level_map is None and self.mapped is not None:
            raise ConfigError(
                "mapped is about a learned map of levels, and there is none",
                code="E302",
                column="mapped",
                remedy='use level_map="linear", or leave it out',
            )
        if self.level_map is None:
            return
        if self.spatial is not None or self.task != "regression":
            raise ConfigError(
                "a learned map of levels is for an outcome of numbers without a spatial effect",
                code="E302",
                column="level_map",
                remedy="leave it out",
            )
        if isinstance(self.level_map, tuple) and (not self.level_map or min(self.level_map) < 1):
            raise ConfigError("level_map: a layer needs at least one unit", code="E302", column="level_map")

    @property
    def approximation(self) -> Literal["auto", "laplace"]:
        """How posteriors of new persons are taken where they are not normal."""
        return "laplace" if self.nodes == 1 else "auto"

    @property
    def terms(self) -> tuple[RandomTerm, ...] | None:
        """The random part as terms."""
        return None if self.random is None else parse_random(self.random)

    def epochs_for(self, rows: int) -> int:
        """Passes over so many training rows."""
        if self.epochs is not None:
            return self.epochs
        steps = -(-rows // self.batch)
        return min(max(-(-STEPS // steps), FEWEST), MOST)
