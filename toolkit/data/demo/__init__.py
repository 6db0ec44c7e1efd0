"""The bundled studies: emotions in daily life (openESM 0012), panic patients (0017), valence and arousal (0018), dyads.

The first three are public data under CC BY 4.0, see the LICENCE.md beside each; the dyads are simulated.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolkit.data.study import Study

FOLDER = Path(__file__).parent
STUDY_FILES = {"absolute": FOLDER / "study.toml", "person_centred": FOLDER / "study-person-centred.toml"}

BUNDLED = {
    "emotions": FOLDER / "study.toml",
    "emotions-person-centred": FOLDER / "study-person-centred.toml",
    "panic": FOLDER / "panic" / "study.toml",
    "valence-arousal": FOLDER / "valence_arousal" / "study.toml",
}
SIMULATED = ("dyads",)


def bundled_study(name: str) -> Study:
    """A bundled study of real data by its name, one of ``BUNDLED``; for the simulated one see :mod:`.dyads`.

    Raises:
        ConfigError: E302 for another name.
    """
    from toolkit.data.study import Study
    from toolkit.errors import ConfigError

    if name not in BUNDLED:
        remedy = f"Known are {', '.join([*BUNDLED, *SIMULATED])}"
        raise ConfigError("there is no bundled study of this name", code="E302", column="name", remedy=remedy)
    return Study.read(BUNDLED[name])


def copy_study(name: str, folder: Path, *, seed: int = 1) -> Path:
    """Put a bundled study into a folder to try things on; returns its study.toml.

    Args:
        name: of ``BUNDLED`` or ``SIMULATED``.
        folder: made if it is not there.
        seed: of the simulated study.

    Raises:
        ConfigError: E302 for another name.
        RunFolderError: E306 if a study is in the folder, E305 if it cannot be written.
    """
    import shutil

    import numpy as np

    from toolkit.data.demo.dyads import write_dyads
    from toolkit.errors import RunFolderError

    source = bundled_study(name) if name not in SIMULATED else None
    if (folder / "study.toml").exists():
        raise RunFolderError(
            "there is a study in this folder already", code="E306", column="out", remedy="Choose another (--out)"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if source is None:
            return write_dyads(folder, rng=np.random.default_rng(seed))
        beside = BUNDLED[name].parent
        for file in (source.data_file, beside / "LICENCE.md", beside / "study.key.csv"):
            if file.exists():
                shutil.copyfile(file, folder / file.name)
        shutil.copyfile(BUNDLED[name], folder / "study.toml")
    except OSError:
        raise RunFolderError(
            "the study's folder cannot be written", code="E305", column="out", remedy="Choose another (--out)"
        ) from None
    return folder / "study.toml"


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
