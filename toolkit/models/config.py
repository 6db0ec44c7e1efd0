"""Settings of the estimators: typed, frozen, and strict. An unknown or useless option is an error, never ignored."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from toolkit.errors import ConfigError
from toolkit.models.monitors import check_monitor

# Settings of the loop that trains mixed effects networks, as they are when left out.
LOOP = {"batch_by": None, "clip": None, "schedule": "plateau", "monitor": "loss"}
LOOP |= {"mixed_precision": False, "compile": False}


class Configuration(BaseModel):
    """Base of all configuration classes: typed, frozen, and nothing but what is declared."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    def __init__(self, **settings: Any) -> None:
        """Validate the settings; see the class for what they mean.

        Raises:
            ConfigError: E302 names the setting, what is wrong with it, and the nearest known name.
        """
        try:
            super().__init__(**settings)
        except ValidationError as error:
            raise _in_plain_words(error, type(self)) from None


class Config(Configuration):
    """What every network that is trained by its gradient needs.

    Attributes:
        hidden: widths of the hidden layers; ``()`` is a linear network.
        lr: learning rate of Adam.
        epochs: most epochs to run; one epoch sees every training row once.
        patience: epochs without a better validation loss before stopping; without validation rows, the length of the
            window over which the training objective has to stand still.
        weight_decay: L2 penalty on the shared parameters (Adam's).
        batch: rows of a mini-batch; None takes one step per epoch on the whole training set. Sequences are never cut.
        batch_by: how batches are drawn: ``persons`` (pieces of ``sqrt(batch)`` rows of one person each; the faster way)
            or ``rows`` (rows, or whole sequences, at random). With ``batch`` only, where None means ``persons``.
        clip: largest norm of the gradient of a step; a longer one is shortened.
        schedule: of the learning rate: ``plateau`` (a quarter when the monitored loss no longer falls, as published),
            ``constant``, or ``cosine`` (falling over all epochs).
        monitor: what decides when to stop and which state is kept, of the validation rows: ``loss``, or a metric of
            `toolkit.metrics` by its name (``ccc``, ``krippendorff_alpha``, ``auc``, ...), over all rows or, as
            ``ccc_by_person``, as the mean over persons. Whether more or less of it is better is known.
        precision: floating point type of all tensors.
        mixed_precision: matrix products in half precision (bfloat16) on a GPU, with ``precision="float32"``;
            parameters, their gradients, variances and posteriors keep theirs.
        compile: compile the network with ``torch.compile``: for mini-batches of a network other than a plain
            perceptron, whose steps are written out by hand. Where it does not work the network runs as it is (W236).
    """

    hidden: tuple[int, ...] = (10, 5)
    lr: float = Field(default=0.01, gt=0, allow_inf_nan=False)
    epochs: int = Field(default=2_000, ge=1)
    patience: int = Field(default=50, ge=1)
    weight_decay: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    batch: int | None = Field(default=None, ge=1)
    batch_by: Literal["persons", "rows"] | None = None
    clip: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    schedule: Literal["plateau", "constant", "cosine"] = "plateau"
    monitor: str = "loss"
    precision: Literal["float64", "float32"] = "float64"
    mixed_precision: bool = False
    compile: bool = False

    def model_post_init(self, context: Any, /) -> None:
        """Check what a type cannot say."""
        if any(width < 1 for width in self.hidden):
            raise ConfigError("hidden: a layer needs at least one unit", code="E302", column="hidden")
        if self.batch_by is not None and self.batch is None:
            raise ConfigError(
                "batch_by says how mini-batches are drawn, and there are none",
                code="E302",
                column="batch_by",
                remedy="give their size (batch=256), or leave batch_by out",
            )
        if self.compile and self.batch is None:
            raise ConfigError(
                "compile is for mini-batches, whose shapes hardly change",
                code="E302",
                column="compile",
                remedy="give their size (batch=256), or leave compile out",
            )
        if self.mixed_precision and self.precision != "float32":
            raise ConfigError(
                "mixed_precision is half precision beside single precision",
                code="E302",
                column="mixed_precision",
                remedy='use precision="float32", or leave it out',
            )
        check_monitor(self.monitor, str(getattr(self, "task", "sequence")))

    def refuse_settings(self, plain: Mapping[str, Any], reason: str) -> None:
        """Refuse settings that do not apply (E302).

        Args:
            plain: their values where they are left out.
            reason: why they do not, in words that follow their name.
        """
        for name, value in plain.items():
            if getattr(self, name) != value:
                raise ConfigError(f"{name} {reason}", code="E302", column=name, remedy="leave it out")


def _in_plain_words(error: ValidationError, kind: type[BaseModel]) -> ConfigError:
    """The first complaint as one of our errors."""
    first = error.errors(include_url=False, include_input=False)[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, kind.model_fields, n=1, cutoff=0.4)
        hint = f"did you mean '{near[0]}'?" if near else ""
        known = ", ".join(kind.model_fields)
        return ConfigError(
            f"{kind.__name__} has no setting '{name}'",
            code="E302",
            column=name,
            remedy=f"{hint} Known: {known}".strip(),
        )
    return ConfigError(f"{kind.__name__}: {name}: {first['msg']}", code="E302", column=name)
