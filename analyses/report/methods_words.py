"""A run's settings in words: data, model, split, fit, software, for the methods paragraph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analyses import wording
from analyses.figures.labels import listed
from analyses.grouping_factors import noun_of
from analyses.report.sentences import MODEL_NAMES, counted, plural
from toolkit.runs.reading import further_groupings

_WHERE = {
    "last": "the last layer",
    "first": "the first layer",
    "all": "every layer",
    "T": "the transition matrix",
    "last+T": "the last layer and the transition matrix",
    "first+T": "the first layer and the transition matrix",
}
_UPDATES = {
    "em": "the variances of the person effects were updated by expectation–maximisation from the effects and their "
    "posterior covariances (Laird & Ware, 1982)",
    "paper": "the variances of the person effects were the sample variances of their point estimates, as published",
    "paper_annealed": "the variances of the person effects were the sample variances of their point estimates, kept "
    "from falling quickly, as in the authors’ code",
    "unregularised": "the person effects had no prior",
}
_SPLITS = {
    "within-person-time": "Each person’s {rows} were split by time into",
    "random": "{Rows} were split at random into",
    "persons": "Whole persons were split at random into",
    "clusters": "Whole clusters were split at random into",
    "future": "{Rows} were split by date into",
}
# what networks without person effects do with persons and places
_BESIDE = {
    "one-hot-mlp": "Every person (and every level of the other grouping factors) was an input of its own.",
    "embedding-mlp": "Every person (and every level of the other grouping factors) had an embedding that was learned "
    "with the network (Guo & Berkhahn, 2016).",
    "lstm": "A long short-term memory (Hochreiter & Schmidhuber, 1997) read predictors and outcome of the person’s "
    "earlier rows; what it remembered was a further predictor.",
    "map-cnn": "Each row’s place was a point on a map that went through four convolutional layers.",
    "target-encoding-mlp": "Every person (and every level of the other grouping factors) was read as the smoothed mean "
    "outcome of the training rows, in training that of other folds (Micci-Barreca, 2001).",
    "armed": "Persons had random effects with a normal posterior of their own (variational inference), "
    "and an adversary kept the network free of what tells persons apart (Nguyen et al., 2023).",
    "menets": "Persons had random coefficients of the last hidden layer, updated by EM after "
    "every epoch (Xiong et al., 2019).",
    "deep-glmm": "Persons had random coefficients of the last hidden layer; the posterior of all "
    "parameters was approximated by variational Bayes (Tran et al., 2020).",
    "svdkl": "A Gaussian process over the places, with a radial basis function kernel and inducing points (Wilson et "
    "al., 2016; Gardner et al., 2018), was added to the network’s prediction.",
}
_PARTS = {"train": "training", "validation": "validation", "test": "test"}
_PACKAGES = {"torch": "PyTorch", "numpy": "NumPy", "pandas": "pandas", "scipy": "SciPy"}
_KERNELS = {
    "rbf": "Gaussian random field with squared exponential correlation",
    "matern32": "Gaussian random field with Matérn 3/2 correlation",
    "matern52": "Gaussian random field with Matérn 5/2 correlation",
    "exponential": "Gaussian random field with exponential correlation",
    "embedded": "Gaussian random field by a learned embedding",
}


def data_sentences(manifest: Mapping[str, Any]) -> list[str]:
    """What was analysed, and who was left out."""
    study, data = manifest["study"], manifest["data"]
    unit, title = str(study.get("unit") or "row"), str(study.get("title") or "")
    source = f" of the study “{title}”" if title and title != "Data" else ""
    start = (
        f"The analysis used {counted(int(data['rows']), unit)} of {counted(int(data['persons']), 'person')}{source}."
    )
    defined = [str(sentence) for sentence in study.get("definitions") or []]
    return [start, exclusion_text(manifest), *[f"{text[:1].upper()}{text[1:]}" for text in defined]]


def exclusion_text(manifest: Mapping[str, Any]) -> str:
    """Everybody who was left out and why; that nobody was, where it is so."""
    told = []
    unit = str(manifest["study"].get("unit") or "row")
    for entry in manifest.get("exclusions") or []:
        persons, rows = int(entry.get("persons") or 0), int(entry.get("rows") or 0)
        sizes = [_spelled(count, word) for count, word in ((persons, "person"), (rows, unit)) if count]
        if not sizes:
            continue
        verb = "was" if (persons or rows) == 1 else "were"
        told.append(f"Left out {verb} {' with '.join(sizes)} ({entry.get('reason', 'no reason given')}).")
    return " ".join(told) or "No person was left out."


def model_sentences(manifest: Mapping[str, Any]) -> list[str]:
    """The model, where persons differ in it, and how it was estimated."""
    name, config = str(manifest["model"]), manifest["config"]
    if name in ("lmm", "glmm"):
        return _linear_mixed(manifest, config)
    if name == "lmmnn":
        return _mixed_network(manifest, config)
    if name == "mc-gmenn":
        return _sampled_network(manifest, config)
    said = [_model(manifest, name, config)]
    if config.get("effects") is not None:
        said.append(_deviations(manifest, config, name))
    return [*said, _fit(manifest, config)]


def _deviations(manifest: Mapping[str, Any], config: Mapping[str, Any], name: str) -> str:
    """Where persons (families, items) differ from the shared parameters, and how their variances were found."""
    further = further_groupings(manifest)
    if further:
        return _several_deviations(manifest, config, further)
    effects = config["effects"]
    if isinstance(effects, Mapping):
        effects = next(iter(effects.values()))
    where = _place(effects)
    if name.startswith("specific"):
        return f"{where.capitalize()} was every person’s own and trained by their rows alone."
    update, covariance = str(config.get("variance_update") or "em"), config.get("covariance")
    if isinstance(covariance, Mapping):
        covariance = next(iter(covariance.values()))
    full = " with a full covariance matrix" if covariance == "full" else ""
    deviations = "deviations" if update == "unregularised" else f"normally distributed deviations{full}"
    return (
        f"Every person had {deviations} of their own from the shared parameters in {where} "
        f"(Wörtwein et al., 2023); {_UPDATES.get(update, update)}."
    )


def _several_deviations(manifest: Mapping[str, Any], config: Mapping[str, Any], further: tuple[str, ...]) -> str:
    """`_deviations` with several grouping factors."""
    columns = (str(manifest["data"].get("groupings", [{"name": "person"}])[0]["name"]), *further)
    nouns = ["person", *(noun_of(column) for column in further)]

    def of(setting: str, column: str) -> Any:
        value = config.get(setting)
        return value.get(column) if isinstance(value, Mapping) else value

    places = [
        f"{plural(noun)} in {_place(of('effects', column))}"
        + (" (with a full covariance matrix)" if of("covariance", column) == "full" else "")
        for noun, column in zip(nouns, columns, strict=True)
    ]
    update = str(config.get("variance_update") or "em")
    variances = (
        "the effects of all were estimated together, and their variances by maximum likelihood from the effects and "
        "their posterior covariances"
        if update == "em"
        else _UPDATES.get(update, update).replace("person effects", "effects")
    )
    return (
        f"Every {listed(nouns)} had normally distributed deviations from the shared parameters (Wörtwein et al., "
        f"2023): {listed(places)}; {variances}."
    )


def _place(effects: Any) -> str:
    """Where effects sit, in words."""
    where = effects if isinstance(effects, str) else ", ".join(effects)
    return _WHERE.get(where, where)


def _linear_mixed(manifest: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """A linear or logistic mixed model: fixed effects, random effects as lme4 writes them, how it was estimated."""
    left_out = set(manifest["data"].get("features_left_out") or ())
    fixed = listed([str(name) for name in manifest["data"]["features"] if name not in left_out])
    what = str(manifest.get("target") or "the target")
    random = str(config.get("random") or "(1 | person)")
    method = str(manifest["status"].get("method") or "maximum likelihood")
    about = f"fixed effects of {fixed}" if fixed else "a common level"
    logistic = manifest["model"] == "glmm"
    kind = "logistic mixed model (GLMM" if logistic else "linear mixed model (LMM"
    estimated = "Coefficients and variances were estimated by" if logistic else "Variances were estimated by exact"
    return [
        f"“{what}” was modelled by a {kind}; Bates et al., 2015) with {about} and random effects {random}.",
        f"{estimated} {method} on the training rows alone, which is all that a likelihood needs. "
        f"{_ended(manifest['status'])}",
    ]


def _mixed_network(manifest: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """A network with random effects: the network, the effects as lme4 writes them, how both were estimated."""
    features = len(manifest["data"]["features"]) - len(config.get("spatial") or ())
    inputs = f"{features} predictor{'' if features == 1 else 's'}"
    random = _random_words(config)
    method = str(manifest["status"].get("method") or "")
    variances = "Variances are those that mini-batches led to."
    if method.startswith("exact"):
        variances = "Variances were then estimated by exact maximum likelihood of all training rows, the network held."
    if method.startswith("maximum"):  # two classes: how the likelihood was integrated
        how = method.partition(" by ")[2]
        variances = (
            f"Variances were then estimated by maximum likelihood of all training rows ({how}), the network held."
        )
    added = "its log-odds" if config.get("task") == "binary" else "it"
    return [
        f"{_targets(manifest)} was modelled by a neural network with random effects (LMMNN; Simchoni & Rosset, 2023): "
        f"{_layers(config.get('hidden'))} on {inputs} for what all persons share, and {random} "
        f"added to {added}.",
        f"Network and variances were trained together by the likelihood of mini-batches of {config.get('batch')} rows. "
        f"{variances} {_ended(manifest['status'])}",
    ]


_ADDED_TO = {
    "binary": "its log-odds", "multiclass": "what it says of every class", "ordinal": "the score behind the classes",
    "count": "the logarithm of the mean",
}  # fmt: skip
_SAMPLERS = {
    "blocks": "Metropolis-Hastings steps with Laplace proposals for all levels of a factor at once",
    "nuts": "the No-U-Turn sampler",
    "hmc": "Hamiltonian Monte Carlo",
    "mala": "the Metropolis-adjusted Langevin algorithm",
}


def _sampled_network(manifest: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """A network with random effects fitted by Monte Carlo EM."""
    status = manifest["status"]
    features = len(manifest["data"]["features"])
    inputs = f"{features} predictor{'' if features == 1 else 's'}"
    rounds = int(status.get("variance_rounds") or 0)
    settled = f", and in {rounds} further rounds with the network held until variances settled" if rounds else ""
    return [
        f"{_targets(manifest)} was modelled by a neural network with random effects fitted by Monte Carlo EM "
        f"(MC-GMENN; Tschalzev et al., 2024): {_layers(config.get('hidden'))} on {inputs} for what all persons share, "
        f"and {_random_words(config)} added to {_ADDED_TO.get(str(config.get('task')), 'it')}.",
        f"Between epochs of mini-batches of {config.get('batch')} rows effects were drawn given all training rows by "
        f"{_SAMPLERS[str(config.get('sampler'))]}{settled}. Effects are {status.get('posterior')}. {_ended(status)}",
    ]


def _random_words(config: Mapping[str, Any]) -> str:
    """Random effects as lme4 writes them, and those of places."""
    terms = config.get("random") or (None if config.get("spatial") else "(1 | person)")
    words = [f"random effects {terms}"] if terms else []
    if config.get("spatial"):
        kernel = _KERNELS.get(str(config.get("kernel") or "rbf"), "random")
        words.append(f"effects of places, a {kernel} of {listed([str(name) for name in config['spatial']])},")
    return " and ".join(words)


def split_sentence(manifest: Mapping[str, Any]) -> str:
    """Which rows trained, validated and tested the model."""
    split, unit = manifest["split"], str(manifest["study"].get("unit") or "row")
    rows = {part: int((split.get("rows") or {}).get(part, 0)) for part in _PARTS}
    if not rows["validation"] and not rows["test"]:
        return f"The model was fitted to all {plural(unit)}; none were set aside."
    start = _SPLITS.get(str(split.get("name")), "{Rows} were split, as listed beforehand, into")
    start = start.format(rows=plural(unit), Rows=plural(unit).capitalize())
    sizes = [f"{_PARTS[part]} ({wording.thousands(count)})" for part, count in rows.items() if count]
    return f"{start} {listed(sizes)} {plural(unit)}."


def software_sentence(manifest: Mapping[str, Any]) -> str:
    """Software with versions, device and seed."""
    versions = {str(name): str(version).partition("+")[0] for name, version in manifest["versions"].items()}
    packages = [f"{_PACKAGES[name]} {versions[name]}" for name in _PACKAGES if name in versions]
    python = f"Python {versions['python']}" if "python" in versions else "Python"
    device = " on a graphics processor" if str(manifest.get("device", "cpu")).startswith("cuda") else ""
    return (
        f"Analyses were run with nme-toolkit {versions.get('toolkit', 'of unknown version')} in {python} with "
        f"{listed(packages)}{device}; the random seed was {manifest['seed']}."
    )


def _model(manifest: Mapping[str, Any], name: str, config: Mapping[str, Any]) -> str:
    study = manifest["study"]
    exposure = config.get("exposure")
    features = len(manifest["data"]["features"]) - bool(exposure)
    layers = "a network given by the user" if config.get("module") else _layers(config.get("hidden"))
    inputs = f"{features} predictor{'' if features == 1 else 's'}"
    what = _targets(manifest)
    label = MODEL_NAMES.get(name, name)
    if manifest["task"] == "sequence":
        states = listed([str(state) for state in study.get("states") or []])
        how = (
            " Each state was predicted from the predictors up to its own row and the states observed before it."
            if config.get("prediction") == "forecast"
            else " Each state was predicted from the predictors of its whole sequence."
        )
        return (
            f"Sequences of the states {states} were modelled by a conditional random field (Lafferty et al., 2001; "
            f"{label}) whose state scores came from {layers} on {inputs}.{how}"
        )
    if name.startswith("pen"):
        return _experts(name, config, what, layers, inputs)
    kind = "the probabilities of " if manifest["task"] in ("binary", "multiclass", "ordinal") else ""
    link = {
        "ordinal": ", as cumulative logits with thresholds that all persons share",
        "count": ", as the logarithm of a Poisson mean" + (f" per unit of “{exposure}”" if exposure else ""),
    }.get(str(manifest["task"]), "")
    weights = " Rows were weighted by their class." if config.get("class_weights") else ""
    each = "" if len(manifest.get("targets") or ()) < 2 else ", each with a residual variance of its own"
    beside = f" {_BESIDE[name]}" if name in _BESIDE else ""
    return f"{label} predicted {kind}{what} with {layers} on {inputs}{link}{each}.{weights}{beside}"


def _targets(manifest: Mapping[str, Any]) -> str:
    """What is predicted, in quotation marks."""
    return listed([f"“{name}”" for name in manifest.get("targets") or [manifest.get("target") or "the target"]])


def _experts(name: str, config: Mapping[str, Any], what: str, layers: str, inputs: str) -> str:
    """A network of personalised experts, or its shared network alone."""
    extractor = "an extractor given by the user" if config.get("extractor") else f"{layers} on {inputs}"
    were = "were" if "” and “" in what else "was"
    if name == "pen-shared":
        return (
            f"{what} {were} predicted with the shared network of the experts’ model (Feffer et al., 2018): {extractor}."
        )
    several = int(config.get("experts_per_person") or 1)
    each = "an expert" if several == 1 else f"{several} experts"
    whose = (
        "every person" if config.get("experts") == "person" else f"each of {config.get('experts')} groups of persons"
    )
    gate = "a gate that learns to recognise the persons" if config.get("identities") else "a gate that knows no persons"
    prior = (
        "; the experts are drawn together like person effects of a neural mixed effects model (Wörtwein et al., 2023)"
        if config.get("prior") == "nme"
        else ""
    )
    return (
        f"{what} {were} predicted by a mixture of personalised experts (PEN; Feffer et al., 2018): {extractor}, {each} "
        f"for {whose}, and {gate}{prior}."
    )


def _layers(hidden: Any) -> str:
    widths = [int(width) for width in hidden or ()]
    if not widths:
        return "a linear function"
    if len(widths) == 1:
        return f"a neural network with one hidden layer of {counted(widths[0], 'unit')}"
    return f"a neural network with {len(widths)} hidden layers of {listed([str(width) for width in widths])} units"


def _fit(manifest: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    status = manifest["status"]
    known = {"adadelta": "Adadelta", "adamw": "AdamW; Loshchilov & Hutter, 2019"}
    optimiser = known.get(str(config.get("optimiser")), "Adam; Kingma & Ba, 2015")
    details = [f"learning rate {config['lr']:g}"] if "lr" in config else []
    stages = [int(config[key]) for key in ("shared_epochs", "head_epochs", "gate_epochs", "epochs") if key in config]
    if len(stages) > 1:
        details.append(f"in stages of at most {listed([wording.thousands(count) for count in stages])} epochs")
    elif stages:
        details.append(f"at most {wording.thousands(stages[0])} epochs")
    if int((manifest["split"].get("rows") or {}).get("validation", 0)) and "patience" in config:
        details.append(f"stopped after {config['patience']} epochs without a better validation loss")
    name, _, source = optimiser.partition("; ")
    told = "; ".join(part for part in (source, ", ".join(details)) if part)
    return f"Parameters were fitted by {name}{f' ({told})' if told else ''}. {_ended(status)}"


def _ended(status: Mapping[str, Any]) -> str:
    """How the fit ended, without the advice to whoever runs it again."""
    said, advice, rest = str(status["sentence"]).partition("; raise")
    return f"{said}.{rest.partition('training curve.')[2]}" if advice else said


def _spelled(count: int, word: str) -> str:
    return f"one {word}" if count == 1 else counted(count, word)
