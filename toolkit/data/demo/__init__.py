"""The bundled study: emotions in daily life of 100 persons (openESM 0012, CC BY 4.0; see LICENCE.md)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolkit.data.study import Study

FOLDER = Path(__file__).parent
STUDY_FILES = {"absolute": FOLDER / "study.toml", "person_centred": FOLDER / "study-person-centred.toml"}


def demo_study(variant: str = "absolute", key_path: str | Path | None = None) -> Study:
    """The bundled study with states on the absolute scale, or ``person_centred``.

    The data are public and a key is shipped with them: pseudonyms agree on every machine, and nothing is written.

    Raises:
        ConfigError: E302 for another variant.
    """
    from toolkit.data.demo.emotions import require_variant
    from toolkit.data.study import Study

    require_variant(variant)
    return Study.read(STUDY_FILES[variant], key_path=key_path)
