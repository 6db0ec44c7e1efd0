"""Which models have effects of further grouping factors, and the rows the others are fitted to."""

from __future__ import annotations

from dataclasses import replace

from toolkit.data.grouped import GroupedDataset
from toolkit.data.sequences import SequenceBatch
from toolkit.models.comparators.entity_embeddings import EmbeddingMlp
from toolkit.models.comparators.one_hot import OneHotMlp
from toolkit.models.comparators.target_encoding import TargetEncodingMlp
from toolkit.models.config import Configuration
from toolkit.models.glmm import Glmm
from toolkit.models.lmm import Lmm
from toolkit.models.lmmnn import Lmmnn
from toolkit.models.mcgmenn import McGmenn
from toolkit.models.nme import NmeMlp
from toolkit.models.nme_crf import NmeCrf


def takes_further_factors(config: Configuration) -> bool:
    """Whether a model estimates effects (or weights) of families or items beside those of the persons."""
    if isinstance(config, Lmm | Glmm | Lmmnn | McGmenn | OneHotMlp | EmbeddingMlp | TargetEncodingMlp):
        return True
    return isinstance(config, NmeMlp | NmeCrf) and config.variance_update != "unregularised"


def data_for(config: Configuration, data: GroupedDataset | SequenceBatch) -> GroupedDataset | SequenceBatch:
    """The data as a model takes them: without further grouping factors where it has no effects of these."""
    if takes_further_factors(config):
        return data
    if isinstance(data, SequenceBatch):
        return replace(data, data=data.data.of_persons())
    return data.of_persons()
