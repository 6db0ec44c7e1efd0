"""The Python code that fits a run's model again, written from its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analyses.report.snippet_parts import Raw, call, literal
from toolkit.runs.reading import further_groupings

DESIGNS = ("within-person-time", "random", "persons", "clusters", "future")
BUNDLED = {
    "emotions-absolute": "emotions",
    "emotions-person-centred": "emotions-person-centred",
    "panic": "panic",
    "valence-arousal": "valence-arousal",
}
CLASSES = {"nme-mlp": "NmeMlp", "nme-crf": "NmeCrf", "generic-mlp": "GenericMlp", "generic-crf": "GenericCrf",
           "specific-crf": "SpecificCrf", "specific-mlp": "SpecificMlp",
           "mlp-lme": "MlpLme", "lmm": "Lmm", "glmm": "Glmm", "lmmnn": "Lmmnn", "mc-gmenn": "McGmenn", "pen": "Pen",
           "pen-shared": "PenShared",
           "one-hot-mlp": "OneHotMlp", "embedding-mlp": "EmbeddingMlp", "lstm": "Lstm", "map-cnn": "MapCnn",
           "svdkl": "SvDkl",
           "deep-glmm": "DeepGlmm", "menets": "MeNets", "armed": "Armed",
           "target-encoding-mlp": "TargetEncodingMlp"}  # fmt: skip

WRAPPERS = {"extractor": "Extractor", "module": "Module"}


def fit_code(manifest: Mapping[str, Any], *, study: str = "study.toml") -> str:
    """Code that fits the model of a manifest: same data, settings, split, seed and threads.

    Args:
        manifest: of the run.
        study: the study file as the code names it; bundled studies are known by name.
    """
    name = str(manifest["study"]["name"])
    kind = CLASSES.get(str(manifest["model"]), str((manifest.get("network") or {}).get("config_class", "")))
    bundled = BUNDLED.get(name)
    reading = f"study = bundled_study({bundled!r})" if bundled else f"study = Study.read({study!r})"
    home = ["from toolkit.data.demo import bundled_study"] if bundled else []
    names = ["fit"] if bundled else ["Study", "fit"]
    targets = [str(target) for target in manifest.get("targets") or [manifest["target"]]]
    target = literal(targets[0]) if len(targets) == 1 else literal(list(targets)).replace("(", "[").replace(")", "]")
    data = f"study.{'sequences' if manifest['task'] == 'sequence' else 'grouped'}({target}{_groupings(manifest)})"
    split = str(manifest["split"]["name"])
    own = {name: WRAPPERS[name] for name in WRAPPERS if manifest["config"].get(name) is not None}
    given = {**manifest["config"], **{name: Raw(name) for name in own}}
    settings = call(kind, keywords=given).replace("result = ", "config = ", 1)
    known = split in DESIGNS
    keywords = {
        "seed": manifest["seed"],
        "device": "cpu" if manifest.get("device") == "cpu" else "auto",
        "split": split if known else None if split == "none" else Raw("split"),
        "study": Raw("study"),
    }
    lines = [
        "import torch",
        "",
        f"from toolkit import {', '.join(names)}",
        *home,
        f"from toolkit.models import {', '.join([*own.values(), kind])}",
        "",
        f"torch.set_num_threads({int(manifest.get('threads') or 1)})",
        reading,
        *(
            f"{name} = {wrapper}(module=...)  # your own, which is not in the run folder"
            for name, wrapper in own.items()
        ),
        settings,
        *([] if known or split == "none" else ["split = ...  # the rows were split by a file or by the caller"]),
        call("fit", "config", data, keywords=keywords).replace("result = ", "run = ", 1),
        "metrics = run.metrics()",
        'print(metrics[metrics["scope"] != "person"].to_string(index=False))',
    ]
    return "\n".join(lines) + "\n"


def _groupings(manifest: Mapping[str, Any]) -> str:
    """The further grouping factors of the run's data, where the run or its study has any."""
    used = further_groupings(manifest)
    return f", groupings={used!r}" if used or manifest["study"].get("groupings") else ""
