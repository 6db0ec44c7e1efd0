"""Families of models: what a fit and a run folder need to know about each, in one module a family.

A family module has the functions of `Family`. To add one, write the module and name its configuration class here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from toolkit.data.grouped import GroupedDataset
from toolkit.models.config import Configuration
from toolkit.models.fitted import FittedNetwork
from toolkit.models.pen import PenConfig
from toolkit.models.pen_network import PenNetwork
from toolkit.models.pen_training import PenTrained
from toolkit.models.plain import PlainConfig
from toolkit.models.plain_network import PlainNetwork, PlainTrained
from toolkit.models.training import Trained
from toolkit.optimise.descent import Keeper
from toolkit.optimise.minimise import Progress

AnyNetwork = FittedNetwork | PenNetwork | PlainNetwork
AnyTrained = Trained | PenTrained | PlainTrained


@runtime_checkable
class Family(Protocol):
    """What every family answers."""

    def check(self, config: Any, data: GroupedDataset) -> None:
        """Refuse data of a kind the configuration is not for (E302, E118)."""
        ...

    def train(
        self,
        config: Any,
        data: GroupedDataset,
        labels: np.ndarray,
        *,
        generator: torch.Generator,
        device: torch.device,
        progress: Progress | None,
        keeper: Keeper | None,
    ) -> Any:
        """Fit the model."""
        ...

    def adapt(
        self,
        network: Any,
        sigma2: float,
        data: GroupedDataset,
        labels: np.ndarray,
        *,
        generator: torch.Generator,
        settings: Any,
        predict_only: bool,
        progress: Progress | None,
    ) -> Any:
        """Fit what is personal to rows of new persons, everything else held; without tables if predictions do."""
        ...

    def predictions(self, network: Any, data: GroupedDataset, labels: np.ndarray) -> pd.DataFrame:
        """Truth and prediction of every row; with several targets a block of rows for each (``target``)."""
        ...

    def tables(self, trained: Any, data: GroupedDataset, labels: np.ndarray) -> dict[str, pd.DataFrame]:
        """Every table of the run folder, by name."""
        ...

    def generic_tensors(self, trained: Any) -> dict[str, Tensor]:
        """Shared parameters and variances."""
        ...

    def personal_tensors(self, trained: Any) -> dict[str, Tensor]:
        """Person effects and what else is personal data."""
        ...

    def describe(self, trained: Any, pseudonym: Mapping[str, str]) -> dict[str, Any]:
        """What is needed beside the tensors to predict again, fit for JSON; persons go by their pseudonyms."""
        ...

    def labels(self, trained: Any) -> Sequence[str]:
        """Labels of the persons that the model knows of."""
        ...

    def names_of_experts(self, trained: Any, pseudonym: Mapping[str, str]) -> dict[str, dict[str, str]]:
        """Of each expert by name: its name with pseudonyms (``expert``), and the persons behind it (``members``).

        Empty for models without experts.
        """
        ...

    def restore(
        self, config: Any, about: Mapping[str, Any], generic: Mapping[str, Tensor], personal: Mapping[str, Tensor]
    ) -> Any:
        """The network of a run folder; ``about`` is what `describe` said, with the levels."""
        ...


def family_of(config: Configuration) -> Family:
    """The family of a configuration."""
    if isinstance(config, PenConfig):
        from toolkit.runs import experts_family

        return experts_family
    if isinstance(config, PlainConfig):
        from toolkit.runs import plain_family

        return plain_family
    from toolkit.runs import mixed_effects_family

    return mixed_effects_family
