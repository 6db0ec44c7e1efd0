"""Settings of a spatial effect, and what of them does not go together."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ConfigError

Kernel = Literal["rbf", "matern32", "matern52", "exponential", "embedded"]
WIDTHS = (1000, 500, 200, 100, 500, 1000)
# what a spatial effect is called among the grouping factors
NAMES = ("location", "place", "spatial")


@runtime_checkable
class SpatialSettings(Protocol):
    """Settings of a model with a spatial effect."""

    @property
    def spatial(self) -> tuple[str, ...] | None:
        """Columns of the coordinates."""
        ...

    @property
    def kernel(self) -> Kernel:
        """How the correlation falls with distance."""
        ...

    @property
    def embedding(self) -> tuple[int, ...]:
        """Widths of the embedding's layers."""
        ...


def check_spatial(settings: SpatialSettings) -> None:
    """E302 for settings without a spatial effect to apply to, and for names given twice."""
    if settings.spatial is None:
        for name, default in (("kernel", "rbf"), ("embedding", WIDTHS)):
            if getattr(settings, name) != default:
                raise ConfigError(
                    f"{name} is about a spatial effect, and there is none",
                    code="E302",
                    column=name,
                    remedy='name the columns of the coordinates, spatial=("lat", "lon"), or leave it out',
                )
        return
    if getattr(settings, "task", "regression") != "regression":
        raise ConfigError(
            "a spatial effect needs an outcome of numbers", code="E302", column="spatial",
            remedy="leave it out, and give the coordinates as features",
        )  # fmt: skip
    if not settings.spatial or len(set(settings.spatial)) < len(settings.spatial):
        raise ConfigError(
            "spatial names no column, or one twice", code="E302", column="spatial", remedy='spatial=("lat", "lon")'
        )
    if settings.embedding != WIDTHS and settings.kernel != "embedded":
        raise ConfigError(
            "embedding is about kernel='embedded'",
            code="E302",
            column="embedding",
            remedy="choose that, or leave it out",
        )
    if not settings.embedding or min(settings.embedding) < 1:
        raise ConfigError("the embedding needs layers with units", code="E302", column="embedding")


def effect_name(data: GroupedDataset) -> str:
    """A name for the spatial effect that no grouping factor of the data has."""
    taken = {grouping.name for grouping in data.groupings}
    return next(name for name in (*NAMES, *(f"location{number}" for number in range(2, 99))) if name not in taken)
