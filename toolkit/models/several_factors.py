"""Which models have effects of further grouping factors, and the rows the others are fitted to."""

from __future__ import annotations

from dataclasses import replace

from toolkit.data.grouped import GroupedDataset
from toolkit.data.sequences import SequenceBatch
from toolkit.models.config import Configuration
from toolkit.models.lmm import Lmm
from toolkit.models.nme import NmeMlp
from toolkit.models.nme_crf import NmeCrf


def takes_further_factors(config: Configuration) -> bool:
    """Whether a model estimates effects of families or items beside those of the persons."""
    if isinstance(config, Lmm):
        return True
    return isinstance(config, NmeMlp | NmeCrf) and config.variance_update != "unregularised"


def data_for(config: Configuration, data: GroupedDataset | SequenceBatch) -> GroupedDataset | SequenceBatch:
    """The data as a model takes them: without further grouping factors where it has no effects of these."""
    if takes_further_factors(config):
        return data
    if isinstance(data, SequenceBatch):
        return replace(data, data=data.data.of_persons())
    return data.of_persons()
