"""One chain for everybody: the conditional random field without person effects."""

from __future__ import annotations

from toolkit.models.nme_crf import CrfConfig


class GenericCrf(CrfConfig):
    """Chain with shared parameters only."""
