"""What the words mean, for readers without statistics: one or two sentences each."""

from __future__ import annotations

GLOSSARY: dict[str, str] = {
    "APA sentence": "The result as the American Psychological Association’s style wants it, ready for a paper.",
    "Average person": "The person a model describes when nothing personal is known: the parameters all persons share.",
    "Baseline": "A person’s usual level: the mean of what is predicted over the person’s own rows.",
    "Between persons": "How far persons lie from one another, as opposed to how one person changes from row to row.",
    "Bias (of a person)": (
        "What the model adds to every prediction for one person: the person’s own level in the model."
    ),
    "Bootstrap": (
        "Drawing persons (or families) again and again with replacement and computing the result each time: "
        "the spread of these results says how sure the result is."
    ),
    "Calibration": "Whether what is predicted with a chance of 30 in 100 happens 30 times in 100.",
    "Chain, CRF": (
        "A model of sequences of states: which state follows which, given what is known at each time. CRF "
        "stands for conditional random field."
    ),
    "Cluster": "What persons are nested in, such as a family or a clinic. Persons of one cluster resemble each other.",
    "Compliance": "The share of planned answers that were given.",
    "Confidence interval": (
        "A range computed from the data so that, study after study, 95 of 100 such ranges hold the true value."
    ),
    "Dysphoric, aggressive, positive, other": (
        "Names of affective states, as observers or answers define them. What they mean is the study’s decision."
    ),
    "Effect (of a person)": "How far one person’s parameter lies from the average person’s. Few rows: pulled to zero.",
    "Excluded": "Left out of an analysis. Every page says who was, and why.",
    "Expected transition": "How often a person goes from one state to another according to the whole model.",
    "False discovery rate (FDR)": (
        "A correction for looking at many cells: of the cells called different, at most this share is wrong on average."
    ),
    "Generic model": "A model with the same parameters for everybody.",
    "Group": "What is compared, such as persons with and without a diagnosis. One value per person.",
    "Held-out rows": "Rows the model never saw while it was fitted. Only they show whether it predicts.",
    "HSIC": (
        "Hilbert-Schmidt independence criterion: one number for how strongly whole transition matrices go "
        "with the group. It catches any kind of difference, and says nothing about which cell differs."
    ),
    "Identifiable": "About a single person. Such output needs a tick, and has to be kept as the raw data are.",
    "Interval matrix": "A matrix in which every cell is a difference with its interval.",
    "Kernel": "The rule by which a test measures how alike two persons are. The bandwidth says how near is near.",
    "Krippendorff’s alpha": "Agreement of prediction and truth beyond chance: 0 is chance, 1 is perfect.",
    "Likelihood": "How probable the data are under a model. Fitting looks for parameters that make it large.",
    "Log odds": "The scale on which chances are added up: 0 is even, +0.7 doubles the odds, −0.7 halves them.",
    "Manifest": "The file in a run folder that says what was fitted to which data with which settings.",
    "Mixed effects": "A model with parameters all persons share (fixed) and parameters of each person (random).",
    "Multiverse": "The same comparison under all reasonable choices, to see whether the result depends on them.",
    "NME": "Neural mixed effects: a network in which some parameters differ from person to person.",
    "Permutation test": (
        "Shuffling the group labels many times. How often chance alone gives as large a difference is p."
    ),
    "p-value": (
        "How often chance alone would give a result at least this large if there were no difference. It is "
        "not the chance that there is no difference."
    ),
    "Percentage points": "The difference of two percentages: from 10% to 15% are 5 percentage points.",
    "Personalised prediction": "A prediction with the person’s own parameters; beside it stands the one without.",
    "Plausible values": "Several draws of what a person’s true parameters may be, so that uncertainty is carried on.",
    "Pooled": "Over all rows of all persons at once, as opposed to the mean over persons.",
    "Power": "The chance that a study finds a difference that is there.",
    "Pseudonym": "A random name in place of a person’s id. The key that tells who is who stays outside the run folder.",
    "Random effect": "See Effect (of a person).",
    "Reliability": "How much of a person’s estimate rests on the person’s own data: 1 all of it, 0 none (the average).",
    "Resampling unit": "What is shuffled or drawn as a whole: persons, or families when persons are nested in them.",
    "Run": "One fitted model in its folder, with everything needed to look at it and to fit it again.",
    "Seed": "The number that random numbers start from. The same seed gives the same result.",
    "Sequence": "Rows that follow one another without a break, such as the prompts of one day.",
    "Shrinkage": "Pulling estimates from few rows towards the average, so that noise does not look like personality.",
    "Simultaneous interval": "An interval that allows for looking at all cells at once; wider than the raw one.",
    "Stability": "Whether estimates come out alike when the model is fitted again with another seed or fewer rows.",
    "State": "What a person is in at one time, one of a few, such as positive or dysphoric.",
    "Transition": "Going from one state to the next. A transition matrix says how likely each next state is.",
    "Validation rows": "Rows that decide when to stop fitting. They are neither fitted to nor used to judge.",
    "Variance component": "How far persons (families, items) differ in one parameter.",
    "Viterbi path": "The sequence of states that a model holds most probable as a whole.",
    "Within person": "How one person changes from row to row.",
}


def matching(search: str) -> dict[str, str]:
    """The entries whose word or text holds every word of the search, singular or plural; all for an empty one."""
    words = [_stem(word) for word in search.casefold().split()]
    return {name: text for name, text in GLOSSARY.items() if all(word in f"{name} {text}".casefold() for word in words)}


def _stem(word: str) -> str:
    """``famil`` of family and families, so that either finds both."""
    return word.removesuffix("s").removesuffix("ie").removesuffix("y") if len(word) > 4 else word
