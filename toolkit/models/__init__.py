"""Estimators: one configuration class per method, resolved on first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toolkit.models.comparators.armed import Armed as Armed
    from toolkit.models.comparators.deep_glmm import DeepGlmm as DeepGlmm
    from toolkit.models.comparators.entity_embeddings import EmbeddingMlp as EmbeddingMlp
    from toolkit.models.comparators.generic_crf import GenericCrf as GenericCrf
    from toolkit.models.comparators.generic_mlp import GenericMlp as GenericMlp
    from toolkit.models.comparators.lstm import Lstm as Lstm
    from toolkit.models.comparators.map_cnn import MapCnn as MapCnn
    from toolkit.models.comparators.menets import MeNets as MeNets
    from toolkit.models.comparators.mlp_lme import MlpLme as MlpLme
    from toolkit.models.comparators.one_hot import OneHotMlp as OneHotMlp
    from toolkit.models.comparators.specific_crf import SpecificCrf as SpecificCrf
    from toolkit.models.comparators.specific_mlp import SpecificMlp as SpecificMlp
    from toolkit.models.comparators.svdkl import SvDkl as SvDkl
    from toolkit.models.comparators.target_encoding import TargetEncodingMlp as TargetEncodingMlp
    from toolkit.models.config import Config as Config
    from toolkit.models.config import Configuration as Configuration
    from toolkit.models.extractors import Extractor as Extractor
    from toolkit.models.glmm import Glmm as Glmm
    from toolkit.models.lmm import Lmm as Lmm
    from toolkit.models.lmmnn import Lmmnn as Lmmnn
    from toolkit.models.mcgmenn import McGmenn as McGmenn
    from toolkit.models.modules import Module as Module
    from toolkit.models.nme import NmeMlp as NmeMlp
    from toolkit.models.nme_crf import NmeCrf as NmeCrf
    from toolkit.models.pen import Pen as Pen
    from toolkit.models.pen import PenShared as PenShared

_HOME = {
    "Config": "toolkit.models.config",
    "Configuration": "toolkit.models.config",
    "NmeMlp": "toolkit.models.nme",
    "NmeCrf": "toolkit.models.nme_crf",
    "GenericMlp": "toolkit.models.comparators.generic_mlp",
    "GenericCrf": "toolkit.models.comparators.generic_crf",
    "SpecificCrf": "toolkit.models.comparators.specific_crf",
    "SpecificMlp": "toolkit.models.comparators.specific_mlp",
    "MlpLme": "toolkit.models.comparators.mlp_lme",
    "OneHotMlp": "toolkit.models.comparators.one_hot",
    "EmbeddingMlp": "toolkit.models.comparators.entity_embeddings",
    "Lstm": "toolkit.models.comparators.lstm",
    "MapCnn": "toolkit.models.comparators.map_cnn",
    "SvDkl": "toolkit.models.comparators.svdkl",
    "TargetEncodingMlp": "toolkit.models.comparators.target_encoding",
    "Armed": "toolkit.models.comparators.armed",
    "MeNets": "toolkit.models.comparators.menets",
    "DeepGlmm": "toolkit.models.comparators.deep_glmm",
    "Lmm": "toolkit.models.lmm",
    "Glmm": "toolkit.models.glmm",
    "Lmmnn": "toolkit.models.lmmnn",
    "McGmenn": "toolkit.models.mcgmenn",
    "Pen": "toolkit.models.pen",
    "PenShared": "toolkit.models.pen",
    "Extractor": "toolkit.models.extractors",
    "Module": "toolkit.models.modules",
}


def __getattr__(name: str) -> Any:
    """Import the module a configuration class lives in, at its first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'toolkit.models' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """The public names, for completion in a console."""
    return sorted(_HOME)
