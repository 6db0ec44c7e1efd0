"""What every column of a run folder means; `<name>` in a column stands for any name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Meaning:
    """What something is, and its unit."""

    text: str
    unit: str = ""


TARGET = "unit of the target"
SCALE = "unit of the target (last layer), else standardised; log odds for transitions"
SHARE = "0 to 1"

FILES = {
    "generic.safetensors": "Parameters that all persons share, variances, means and scales for standardising.",
    "persons.safetensors": "Effects of every person and how sure they are: personal data.",
    "persons.parquet": "One row per person.",
    "random_effects.parquet": "One row per person (family, item) and parameter: what differs between them.",
    "variance_components.parquet": "One row per parameter that differs between persons (families, items): how far.",
    "transitions.parquet": "One row per person and step from one state into the next.",
    "transition_covariates.parquet": "One row per covariate and step: by how much it shifts the transition.",
    "predictions.parquet": "One row per {row}: truth and predictions.",
    "metrics.parquet": "How well the model predicts, for each person, averaged and pooled.",
    "fixed_effects.parquet": "One row per coefficient that all persons share, of a linear or logistic mixed model.",
    "likelihood.parquet": "How well a mixed model fits the rows it was fitted to.",
    "trace.parquet": "One row per epoch of the training.",
    "experts.parquet": "One row per expert and weight of a network of experts.",
    "gate.parquet": "One row per person, part and expert: how much the gate leans on the expert.",
    "group_persons.parquet": "Copy without persons: one row per group that may be shown.",
    "group_effects.parquet": "Copy without persons: mean and SD of the person effects by group.",
    "group_transitions.parquet": "Copy without persons: mean transitions by group.",
    "result.json": "The result's numbers and notes.",
    "table.parquet": "The result's table; its columns are those of the analysis.",
    "text.md": "The result as a plain sentence and as an APA sentence.",
    "made_with.json": "What the analysis was made with: kind, settings, further runs, study.",
    "snippet.py": "Python code that makes the result again.",
}

MANIFEST_ENTRIES = {
    "name": Meaning("Name of the run."),
    "schema_version": Meaning("Version of the format of run folders."),
    "model": Meaning("Kind of model, as on the command line."),
    "task": Meaning("What is predicted: regression, binary, multiclass, ordinal, count or sequence."),
    "config": Meaning("Every setting of the model."),
    "effects": Meaning("Parameters that differ between persons."),
    "target": Meaning("Column that is predicted."),
    "targets": Meaning("All columns that are predicted."),
    "study": Meaning("Names and labels of the study: title, citation, licence, groups, states, how columns are made."),
    "data": Meaning("SHA-256 of the data, numbers of rows and persons, predictors, predictors without variation."),
    "exclusions": Meaning("Who was left out of what, and why."),
    "split": Meaning("How rows were split, and the number of rows of each part."),
    "seed": Meaning("Seed of every random number of the fit."),
    "streams": Meaning("Which random numbers come from which stream of the seed."),
    "versions": Meaning("Versions of the software."),
    "device": Meaning("Processor or graphics card."),
    "threads": Meaning("Threads of the fit; the last digits may depend on them."),
    "started": Meaning("When the fit began.", "UTC"),
    "finished": Meaning("When the fit ended.", "UTC"),
    "status": Meaning("How the fit ended: code, sentence, whether it settled, epochs."),
    "resume_count": Meaning("How often an interrupted fit was resumed."),
    "warnings": Meaning("Warnings of data and fit."),
    "network": Meaning("What is needed beside the tensors to predict again."),
    "levels": Meaning("Pseudonyms of the persons, in the order of the tensors; empty in a copy without persons."),
    "further_levels": Meaning("Pseudonyms of the levels of further grouping factors (families, items), by column."),
    "files": Meaning("SHA-256 of every file of the folder."),
    "without_persons": Meaning("True in a copy from which everything about persons was left out."),
}

PERSON = Meaning("Pseudonym of the person.")
STATE = Meaning("Name of a state.")
COLUMNS = {
    "person": PERSON,
    "group": Meaning("Label of the person's comparison group; empty where unknown."),
    "cluster": Meaning("Pseudonym of what the person belongs to (family, site)."),
    "persons.rows": Meaning("Rows of the person.", "{row}s"),
    "group_persons.rows": Meaning("Rows of the group.", "{row}s"),
    "rows_train": Meaning("Rows used for fitting.", "{row}s"),
    "rows_validation": Meaning("Rows used for stopping.", "{row}s"),
    "rows_test": Meaning("Rows set aside for judging.", "{row}s"),
    "baseline": Meaning("Mean of the target over the person's training rows; empty for states.", TARGET),
    "in_metrics": Meaning("Whether the person enters the metrics: ten rows or more."),
    "term": Meaning("What the parameter varies by: the column of the persons, families, items; or 'residual'."),
    "level": Meaning("Pseudonym of the person."),
    "parameter": Meaning("Parameter of the network, such as layers.2.bias or transitions[from,into]."),
    "estimate": Meaning("The person's difference from the average person (posterior mode).", SCALE),
    "random_effects.sd": Meaning("Posterior standard deviation of the estimate.", SCALE),
    "low": Meaning("Lower end of the 95% interval of the estimate.", SCALE),
    "high": Meaning("Upper end of the 95% interval of the estimate.", SCALE),
    "reliability": Meaning("1 - Var(person | data) / Var(persons): 1 own data only, 0 the average only.", SHARE),
    "variance": Meaning("Variance over persons, or of the residual.", f"square of: {SCALE}"),
    "variance_components.sd": Meaning("Standard deviation over persons: root of the variance.", SCALE),
    "share": Meaning("Share of what the parameter changes in the outcome; with a residual they add up to 1.", SHARE),
    "correlation": Meaning(
        "Correlation with the first parameter of the term; empty where none is estimated.", "-1 to 1"
    ),
    "range": Meaning("How far a spatial effect reaches: the range of its kernel; empty for other terms."),
    "at_boundary": Meaning("Whether the variance could not be told from zero."),
    "from_state": Meaning("State that a step starts from."),
    "to_state": Meaning("State that a step leads into."),
    "score": Meaning("Transition score of the person; group tables: mean over persons.", "log odds"),
    "probability": Meaning("Softmax of the scores over the row; the predictors are left out.", SHARE),
    "probability_<state>": Meaning("Predicted probability of the state, with person effects.", SHARE),
    "covariate": Meaning("Column that shifts the transitions."),
    "meaning": Meaning("What one unit of the covariate is."),
    "transition_covariates.estimate": Meaning(
        "Difference per unit of the covariate, against the average move out of the state.", "log odds"
    ),
    "se": Meaning("Standard error of the estimate; empty where the data do not determine it.", "log odds"),
    "transition_covariates.low": Meaning("Lower end of the 95% interval of the estimate.", "log odds"),
    "transition_covariates.high": Meaning("Upper end of the 95% interval of the estimate.", "log odds"),
    "pvalue": Meaning("Two-sided p value of the estimate (Wald)."),
    "transition_covariates.probability": Meaning(
        "Probability inside a long sequence at the covariate's value 0, predictors left out.", SHARE
    ),
    "probability_shifted": Meaning("The same at the covariate's value 1.", SHARE),
    "expected": Meaning("Share of steps that the model expects, given the person's predictors.", SHARE),
    "generic": Meaning("Softmax of the shared scores: the average person.", SHARE),
    "observed": Meaning("Number of such steps in the data.", "steps"),
    "row": Meaning("Position of the row in the data file, from 0."),
    "split": Meaning("Part of the data: train, validation or test."),
    "sequence": Meaning("Number of the sequence (such as a day) within the data."),
    "time": Meaning("The study's time column, or the order of the rows."),
    "target": Meaning("Which target the row is about, for models of several."),
    "person_known": Meaning("Whether the person was among those fitted."),
    "truth": Meaning("The target as observed.", TARGET),
    "prediction": Meaning("Prediction with person effects.", TARGET),
    "prediction_population": Meaning("Prediction for the average person.", TARGET),
    "prediction_sequence": Meaning("Most likely state given the predictors of the whole sequence."),
    "prediction_sequence_population": Meaning("The same for the average person."),
    "prediction_forecast": Meaning("Most probable state given what was known before and the row's own predictors."),
    "prediction_personal": Meaning("Prediction of the person's own expert.", TARGET),
    "previous_state": Meaning("The person's state before; empty at the first row."),
    "scope": Meaning("person, mean (over persons) or pooled (all rows together)."),
    "metrics.level": Meaning("What is judged: person, population, forecast, whole sequence or previous state."),
    "metric": Meaning("Name of the metric, such as rmse or krippendorff_alpha."),
    "value": Meaning("Value of the metric; empty where it is not defined.", "that of the metric"),
    "metrics.rows": Meaning("Rows it was computed from.", "{row}s"),
    "persons": Meaning("Number of persons.", "persons"),
    "excluded": Meaning("Persons for whom the metric is not defined; left out of the mean.", "persons"),
    "fixed_effects.estimate": Meaning("The coefficient.", "unit of the target per unit of the predictor"),
    "fixed_effects.se": Meaning("Standard error of the coefficient.", "as the coefficient"),
    "fixed_effects.z": Meaning("Coefficient divided by its standard error."),
    "fixed_effects.p": Meaning("Two-sided p value of the coefficient by the normal distribution.", SHARE),
    "restricted": Meaning("Whether the likelihood is the restricted one (REML)."),
    "log_likelihood": Meaning("Logarithm of the (restricted) likelihood at its maximum."),
    "deviance": Meaning("Minus twice the log-likelihood."),
    "parameters": Meaning("Parameters that were estimated: coefficients, variances, correlations."),
    "likelihood.rows": Meaning("Rows the model was fitted to.", "{row}s"),
    "aic": Meaning("Akaike's information criterion: deviance plus twice the number of parameters."),
    "bic": Meaning("Bayesian information criterion: deviance plus parameters times log rows."),
    "epoch": Meaning("Number of the epoch."),
    "objective": Meaning("What training makes small: loss and penalty together."),
    "loss": Meaning("Loss on the training rows."),
    "penalty": Meaning("Penalty of the person effects: their prior."),
    "sigma2": Meaning("Residual variance on the standardised scale."),
    "lr": Meaning("Learning rate of the epoch."),
    "variance_mean": Meaning("Mean variance of the person effects."),
    "variance[<parameter>]": Meaning(
        "Variance of the person effects on this parameter, on the scale of the estimation."
    ),
    "validation": Meaning("Loss on the validation rows."),
    "phase": Meaning("training, or variances (rounds that move effects and variances only); of experts the stage."),
    "trace.gate": Meaning("Loss of the gate: how well it tells whose row it sees.", "nats"),
    "sparsity": Meaning("Penalty for a gate that leans on many experts."),
    "expert": Meaning("Name of the expert."),
    "experts.persons": Meaning("Pseudonyms of the persons whose rows trained the expert."),
    "weight": Meaning("Weight of the expert's parameter; gate: mean weight of the expert in the person's rows.", SHARE),
    "shared": Meaning("The same parameter of the shared head."),
    "difference": Meaning("Weight minus shared."),
    "gate.rows": Meaning("Rows of the person in the part.", "{row}s"),
    "entropy": Meaning("How widely the gate spreads over experts; 0: one expert only.", "nats"),
    "baseline_mean": Meaning("Mean of the persons' baselines.", TARGET),
    "baseline_sd": Meaning("Standard deviation of the persons' baselines.", TARGET),
    "mean": Meaning("Mean of the person effects in the group.", SCALE),
    "group_effects.sd": Meaning("Standard deviation of the person effects in the group.", SCALE),
}
