"""The methods paragraph of a run, the results of its kept analyses as sentences, and what to cite for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analyses import wording
from analyses.report.guard import SMALLEST_SHOWN, checked_smallest, small_groups, total_gives_away
from analyses.report.methods_words import data_sentences, model_sentences, software_sentence, split_sentence
from analyses.report.metric_sentences import metric_sentences
from analyses.report.references import Reference, bibtex, references, study_reference
from analyses.report.report_facts import OF_GROUPS, OF_PERSONS
from analyses.report.report_facts import kind_of as recorded_kind
from toolkit.runs.kept import KeptAnalysis, kept_analyses

if TYPE_CHECKING:
    from toolkit.runs.folder import SavedRun

_PERMUTED = ("phipson2010permutation", "winkler2015blocks")
_MODELS = {
    "crf": ("lafferty2001crf",),
    "nme": ("wortwein2023nme",),
    "pen": ("feffer2018experts",),
    "lmm": ("bates2015lme4",),
    "glmm": ("bates2015lme4",),
    "lmmnn": ("simchoni2023lmmnn",),
    "mc-gmenn": ("tschalzev2024gmenn",),
    "embedding": ("guo2016entity",),
    "target": ("miccibarreca2001preprocessing",),
    "armed": ("nguyen2023armed",),
    "menets": ("xiong2019menets",),
    "deepglmm": ("tran2020deep",),
    "lstm": ("hochreiter1997long",),
    "svdkl": ("wilson2016stochastic", "gardner2018gpytorch"),
}
_METRICS = {"krippendorff_alpha": "hayes2007krippendorff", "ccc": "lin1989concordance"}
_SOFTWARE = {
    "torch": "paszke2019pytorch",
    "numpy": "harris2020numpy",
    "scipy": "virtanen2020scipy",
    "pandas": "mckinney2010pandas",
}
_BOOTSTRAPS = {"bca": "efron1987better"}
# keys that belong to a kind of analysis whatever its options
_KINDS: dict[str, tuple[str, ...]] = {
    "hsic": ("gretton2007kernel", "pfister2018kernel"),
    "differences": ("davison1997bootstrap", "westfall1993resampling", "benjamini1995fdr", "holm1979simple"),
    "slopes": ("pustejovsky2018small", "benjamini1995fdr"),
    "plausible": ("rubin1987multiple", "holm1979simple"),
    "base-rates": ("rao1981analysis", "rao1984chi", *_PERMUTED),
    "variance": ("nakagawa2013r2",),
    "effects": ("thomas1978interval",),
    "stability": ("shrout1979icc", "epskamp2018networks"),
    "multiverse": ("simonsohn2020specification", *_PERMUTED),
    "comparison": ("davison1997bootstrap", "holm1979simple"),
    "less-data": ("davison1997bootstrap", "holm1979simple"),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MethodsText:
    """What a paper says about a run.

    Attributes:
        name: of the run.
        paragraphs: of the methods section.
        results: (name of the analysis, plain sentences, APA sentences) of everything kept with the run.
        works: what to cite.
        left_out: which kept analyses are not told, and why.
    """

    name: str
    paragraphs: tuple[str, ...]
    results: tuple[tuple[str, str, str], ...]
    works: tuple[Reference, ...]
    left_out: tuple[str, ...] = ()

    def plain(self) -> str:
        """For a terminal."""
        told = [f"{title}:\n{text}\n{apa}" for title, text, apa in self.results]
        cited = "; ".join(work.short() for work in self.works)
        return "\n\n".join([*self.paragraphs, *told, *self.left_out, f"To cite: {cited}."])

    def markdown(self) -> str:
        """As a text file with headings."""
        told = [f"### {title}\n\n{text}\n\nFor a paper (APA 7): {apa}" for title, text, apa in self.results]
        results = ["## Results", *told, *self.left_out] if told or self.left_out else []
        cited = [f"- {work.short()} `{work.key}`" for work in self.works]
        return "\n\n".join(["## Method", *self.paragraphs, *results, "## References", "\n".join(cited)]) + "\n"

    def bibtex(self) -> str:
        """The references as a .bib file."""
        return bibtex(self.works)

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "run": self.name,
            "methods": list(self.paragraphs),
            "results": [{"analysis": title, "text": text, "apa": apa} for title, text, apa in self.results],
            "left_out": list(self.left_out),
            "references": [work.key for work in self.works],
        }


def methods_of_run(run: SavedRun, *, smallest: int = SMALLEST_SHOWN) -> MethodsText:
    """The text of a run: its methods from the manifest, its results from the kept analyses, the works both rest on.

    Args:
        run: a finished run.
        smallest: the smallest group whose results are told; results about single persons are never told.

    Raises:
        ConfigError: E302 for a smallest group outside 5 to 21.
    """
    kept, metrics, persons = kept_analyses(run), run.metrics(), run.persons()
    checked_smallest(smallest)
    sizes = {str(label): int(size) for label, size in persons["group"].dropna().value_counts().items()}
    of_groups = bool(small_groups(sizes, smallest=smallest)) or (
        bool(sizes) and total_gives_away(sizes, smallest=smallest)
    )
    silent = {found.name: _why_silent(found, of_groups, len(persons) < smallest, smallest) for found in kept}
    shown = [found for found in kept if not silent[found.name]]
    told = [("prediction", *said)] if len(persons) >= smallest and (said := metric_sentences(metrics)) else []
    return MethodsText(
        name=run.name,
        paragraphs=tuple(methods_paragraphs(run.manifest, shown)),
        results=(*told, *((found.name, found.text, found.apa) for found in shown)),
        works=tuple(cited_works(run.manifest, shown, set(metrics["metric"]))),
        left_out=tuple(f"Not told: {name}, {reason}." for name, reason in silent.items() if reason),
    )


def _why_silent(found: KeptAnalysis, small_groups_there: bool, few_persons: bool, smallest: int) -> str:
    """Why an analysis is not told; empty for one that is."""
    kind = recorded_kind(found)
    if kind in OF_PERSONS:
        return "because it is about single persons"
    if few_persons:
        return f"because the study has fewer than {smallest} persons"
    if kind in OF_GROUPS and small_groups_there:
        return f"because a group has fewer than {smallest} persons"
    return ""


def methods_paragraphs(manifest: Mapping[str, Any], kept: Sequence[KeptAnalysis] = ()) -> list[str]:
    """The methods section: data, model, split and fit, analyses, software.

    Args:
        manifest: of the run.
        kept: analyses to describe.
    """
    told = list(dict.fromkeys(sentence for found in kept if (sentence := analysis_sentence(found.name, found.summary))))
    return [
        " ".join(data_sentences(manifest)),
        " ".join([*model_sentences(manifest), split_sentence(manifest)]),
        *([" ".join(told)] if told else []),
        software_sentence(manifest),
    ]


def analysis_sentence(name: str, summary: Mapping[str, Any]) -> str:
    """How a kept analysis was made: unit, resamples or permutations; empty for one that has nothing to say."""
    kind = kind_of(name)
    if kind == "hsic":
        return (
            "Transitions were tested against group with the Hilbert-Schmidt independence criterion (Gretton et al., "
            f"2007; Pfister et al., 2018), {_draws(summary, 'permutations')}."
        )
    if kind == "differences":
        one = summary["pairs"][0] if "pairs" in summary else summary
        return (
            f"Differences of single transitions have {wording.percent(one['level'])} intervals from a "
            f"{wording.METHODS[one['method']]} ({_draws(one, 'resamples')}), alone and simultaneous (studentised "
            "max-T), and p-values with the false discovery rate controlled (Benjamini & Hochberg, 1995)."
        )
    if kind == "base-rates":
        return (
            "How often states occur was compared by a chi-squared test whose p-value permutes the group over whole "
            f"{summary['unit_name']} ({wording.thousands(int(summary['permutations']))} permutations), beside the "
            "correction of Rao and Scott (1981, 1984)."
        )
    simple = {
        "variance": "Variances were partitioned into intraclass correlation, marginal and conditional R² (Nakagawa & "
        "Schielzeth, 2013).",
        "stability": "Stability of person parameters was judged by ICC(2,1) over repeated fits (Shrout & Fleiss, 1979) "
        "and by dropping rows (Epskamp et al., 2018).",
        "multiverse": "Reasonable alternatives were compared in a specification curve analysis (Simonsohn et al., "
        "2020).",
        "comparison": "Models were compared by a paired bootstrap of the persons’ metrics.",
        "less-data": "Models were compared again with fewer training rows for every person, by a paired bootstrap of "
        "the persons’ metrics.",
        "adaptation": "Models were adapted to growing shares of the rows of persons they had not seen, and compared on "
        "the rest of these persons’ rows.",
        "plausible": "The uncertainty of every person’s transitions was carried along by plausible values (Rubin, "
        "1987).",
        "slopes": "Slopes of transitions on a covariate have CR2 standard errors (Pustejovsky & Tipton, 2018).",
        "power": "Power was estimated by simulation from the fitted model.",
        "effects": "Intervals of variance components rest on the information that the effects hold about them "
        "(chi-squared, in the manner of Thomas & Hultquist, 1978).",
        "class-effects": "Effects on classes were centred over the classes (sum to zero), since only differences "
        "between classes change probabilities.",
        "baseline": "Person-specific biases were correlated with the persons’ baseline levels.",
    }
    return simple.get(kind, "")


def kind_of(name: str) -> str:
    """The kind of a kept analysis, from the name of its folder."""
    kinds = (*_KINDS, "power", "baseline", "drivers", "class-effects", "contributions")
    return next((kind for kind in kinds if name == kind or name.startswith(f"{kind}-")), name)


def cited_works(manifest: Mapping[str, Any], kept: Sequence[KeptAnalysis], metrics: set[str]) -> list[Reference]:
    """What to cite: the data, the model, its estimation, the analyses, the metrics and the software that were used.

    Args:
        manifest: of the run.
        kept: its analyses.
        metrics: names of the metrics reported.
    """
    config, model = manifest["config"], str(manifest["model"])
    parts = model.replace("deep-glmm", "deepglmm").split("-")
    keys = {key for part, found in _MODELS.items() if part in parts for key in found}
    keys |= {"wortwein2023nme"} if config.get("prior") == "nme" else set()
    keys |= {"laird1982random"} if config.get("variance_update") == "em" and config.get("effects") else set()
    trained_by_gradient = "lr" in config and "deepglmm" not in parts and config.get("optimiser", "adam") == "adam"
    keys |= {"kingma2015adam"} if trained_by_gradient else set()
    keys |= {"loshchilov2019decoupled"} if config.get("optimiser") == "adamw" else set()
    keys |= {_METRICS[name] for name in metrics if name in _METRICS}
    keys |= {key for name, key in _SOFTWARE.items() if name in manifest["versions"]}
    for found in kept:
        keys |= _analysis_keys(kind_of(found.name), found.summary)
    study = manifest["study"]
    own = study_reference(str(study.get("citation") or ""), str(study["title"]), str(study.get("licence") or ""))
    return sorted([*references(keys), *([own] if own else [])], key=lambda work: work.key)


def _analysis_keys(kind: str, summary: Mapping[str, Any]) -> set[str]:
    keys = set(_KINDS.get(kind, ()))
    one = summary["pairs"][0] if summary.get("pairs") else summary
    keys |= {_BOOTSTRAPS[one["method"]]} if one.get("method") in _BOOTSTRAPS else set()
    if kind in ("differences", "comparison") and one.get("unit_name", "persons") != "persons":
        keys.add("field2007clustered")
    if kind == "hsic":
        keys |= set(_PERMUTED) if summary.get("method") in ("permutation", "early stop") else set()
        keys |= {"song2012feature", "kornblith2019similarity"} if "effect" in summary else set()
    return keys


def _draws(summary: Mapping[str, Any], what: str) -> str:
    return f"{wording.thousands(int(summary[what]))} {what} of {summary['unit_name']}"
