"""A fitted model in memory: predictions, person effects, variances, tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd

from toolkit.data.grouped import GroupedDataset
from toolkit.data.sequences import SequenceBatch
from toolkit.effects.woodbury import PosteriorVariances
from toolkit.errors import DataError
from toolkit.models.averaged import averaged_probabilities
from toolkit.models.chain_quantities import (
    best_paths,
    expected_transitions,
    move_probabilities,
    state_probabilities,
)
from toolkit.models.covariate_table import shared_information
from toolkit.models.effect_draws import effect_draws
from toolkit.models.effect_tables import correlations, whole_covariances_missing
from toolkit.models.fitted import FittedNetwork, Level
from toolkit.models.intervals import prediction_intervals, random_terms
from toolkit.models.mcgmenn_fit import TrainedMcgmenn
from toolkit.models.mcgmenn_prediction import averaged_over_draws, intervals_over_draws
from toolkit.models.nme_crf import Prediction
from toolkit.models.training import Trained
from toolkit.optimise.status import Status
from toolkit.runs.families import AnyTrained
from toolkit.runs.reading import of_target, of_term

Data = GroupedDataset | SequenceBatch
# persons of a run go by the ids of the data, not by pseudonyms
OWN_LABELS = "ids of the data"


@runtime_checkable
class FittedModel(Protocol):
    """What every fitted model answers, in memory (`Run`) or from its folder (`toolkit.runs.folder.SavedRun`)."""

    def predict(self, data: GroupedDataset, level: Level = "person", *, strict: bool = False) -> np.ndarray:
        """Predictions in the order of the rows."""
        ...

    def random_effects(self, term: str | None = None) -> pd.DataFrame:
        """Effects of the persons, or of another grouping factor, with SD, interval and reliability."""
        ...

    def variance_components(self) -> pd.DataFrame:
        """Variance components with their shares."""
        ...

    def trace(self) -> pd.DataFrame:
        """Training by epoch."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """A fitted model.

    Attributes:
        trained: network, estimate and units.
        tables: the tables of the run folder, by name.
        manifest: what was run and how it ended.
        split: ``train``, ``validation`` or ``test`` for each row.
    """

    trained: AnyTrained
    tables: Mapping[str, pd.DataFrame]
    manifest: Mapping[str, Any]
    split: np.ndarray

    @property
    def status(self) -> Status:
        """How the fit ended."""
        return self.trained.outcome.status

    def predict(
        self, data: Data, level: Level = "person", *, strict: bool = False, prediction: Prediction | None = None
    ) -> np.ndarray:
        """Predictions in the order of the rows; see `toolkit.models.fitted.FittedNetwork.predict`."""
        return self.trained.network.predict(rows_of(data), level, strict=strict, prediction=prediction)

    def predict_frame(self, data: Data, level: Level = "person", *, strict: bool = False) -> pd.DataFrame:
        """Predictions as a table with the column ``person_known``."""
        return self.trained.network.predict_frame(rows_of(data), level, strict=strict)

    def decode(self, data: Data, level: Level = "person", *, strict: bool = False) -> np.ndarray:
        """Most likely states of whole sequences (Viterbi), by name, in the order of the rows."""
        network = self._chain()
        codes = network.decode(rows_of(data), level, strict=strict)
        return np.array(network.classes, dtype=object)[codes]

    def best_paths(self, data: Data, n_best: int = 5, level: Level = "person") -> pd.DataFrame:
        """The n most likely paths of every sequence; see `toolkit.models.chain_quantities.best_paths`."""
        return best_paths(self._chain(), rows_of(data), n_best, level)

    def state_probabilities(self, data: Data, level: Level = "person") -> pd.DataFrame:
        """Probability of every state in each row; see `toolkit.models.chain_quantities.state_probabilities`."""
        return state_probabilities(self._chain(), rows_of(data), level)

    def move_probabilities(self, data: Data, level: Level = "person") -> pd.DataFrame:
        """Probability of every move into each row; see `toolkit.models.chain_quantities.move_probabilities`."""
        return move_probabilities(self._chain(), rows_of(data), level)

    def expected_transitions(
        self,
        data: Data,
        *,
        draws: int = 200,
        level: float = 0.95,
        rng: np.random.Generator,
        fitted_to: Data | None = None,
    ) -> pd.DataFrame:
        """Expected transitions of every person, averaged over the posterior of the person's effects.

        See `toolkit.models.chain_quantities.expected_transitions`. With ``fitted_to``, the data the run was fitted to,
        the shared transitions, their shifts, last layer and ends are drawn as well: intervals do not take the average
        person's as known.

        Raises:
            DataError: E302 for a model that is no chain.
            ConfigError: E302 for ``fitted_to`` with several grouping factors, or where the objective was no likelihood.
        """
        network = self._chain()
        assert isinstance(self.trained, Trained)
        found = self.trained.estimate.posterior
        if isinstance(found, PosteriorVariances):
            raise whole_covariances_missing()
        covariance = None if found is None else found.covariance.cpu().numpy().astype(np.float64)
        shared = None if fitted_to is None else shared_information(self.trained, rows_of(fitted_to), self.split)
        return expected_transitions(
            network, rows_of(data), covariance, draws=draws, level=level, rng=rng, shared=shared
        )

    def _chain(self) -> FittedNetwork:
        """The network of a chain (E302 for another model)."""
        network = self.trained.network
        if not isinstance(network, FittedNetwork) or network.task != "sequence":
            raise DataError("only chain models have paths and transitions", code="E302", remedy="use predict")
        return network

    def persons(self) -> pd.DataFrame:
        """Persons with group, cluster, rows per part, baseline level."""
        return self.tables["persons"].copy()

    def random_effects(self, term: str | None = None) -> pd.DataFrame:
        """Effects of the persons, or of another grouping factor (``term``).

        Columns: term, level, parameter, estimate, sd, low, high, reliability.

        Raises:
            DataError: E302 for a grouping factor the run does not have.
        """
        return of_term(self.tables["random_effects"], term)

    def draw_effects(self, draws: int, *, rng: np.random.Generator, term: str | None = None) -> pd.DataFrame:
        """Plausible values: draws of the effects from their posterior; see `toolkit.models.effect_draws`.

        Columns: term, level, parameter, draw, value.
        """
        if not isinstance(self.trained, Trained):
            raise DataError("this model has no posterior to draw from", code="E406", remedy="fit NmeMlp, Lmm or Glmm")
        return effect_draws(self.trained, draws, rng=rng, term=term)

    def variance_components(self) -> pd.DataFrame:
        """Variance components: term, parameter, variance, sd, share, correlation, at_boundary."""
        return self.tables["variance_components"].copy()

    def fixed_effects(self) -> pd.DataFrame:
        """Fixed effects of a linear or logistic mixed model: parameter, estimate, se, low, high, z, p.

        Raises:
            DataError: E406 for another model.
        """
        return self._of_lmm("fixed_effects")

    def likelihood(self) -> pd.DataFrame:
        """Fit of a mixed model: restricted, log_likelihood, deviance, parameters, rows, aic, bic.

        Raises:
            DataError: E406 for another model.
        """
        return self._of_lmm("likelihood")

    def _of_lmm(self, name: str) -> pd.DataFrame:
        if name not in self.tables:
            raise DataError("only mixed models have this table", code="E406", remedy="fit Lmm or Glmm")
        return self.tables[name].copy()

    def log_likelihood(self) -> float:
        """Log-likelihood of the training rows of a mixed model (restricted, if it was fitted so).

        Raises:
            DataError: E406 for another model.
        """
        return float(self.likelihood()["log_likelihood"].iloc[0])

    def random_terms(self) -> pd.DataFrame:
        """Likelihood-ratio tests of what varies in a mixed model; see `toolkit.models.term_tests`.

        Of a network with random effects given the network. Columns: term, parameter, deviance, chi2, df, pvalue,
        pvalue_plain.

        Raises:
            DataError: E406 for another model.
        """
        return random_terms(self.trained)

    def predict_interval(self, data: Data, level: float = 0.95) -> pd.DataFrame:
        """Where outcomes of rows lie with a given probability, by a mixed model; see `toolkit.models.intervals`.

        Columns: row, person, person_known, prediction, effect_sd, sd, low, high. Of `McGmenn` by draws, for every
        class: `toolkit.models.mcgmenn_prediction`.

        Raises:
            DataError: E406 for another model.
        """
        if isinstance(self.trained, TrainedMcgmenn):
            return intervals_over_draws(self.trained, rows_of(data), level)
        return prediction_intervals(self.trained, rows_of(data), level)

    def correlations(self) -> pd.DataFrame:
        """Correlation matrix of the person effects, parameters in rows and columns.

        Raises:
            DataError: E406 for a model of another kind.
        """
        if not isinstance(self.trained, Trained):
            raise DataError("this model has no correlation matrix", code="E406", remedy="fit NmeMlp or NmeCrf")
        labels = list(self.trained.network.effects.layout.labels)
        return pd.DataFrame(correlations(self.trained), index=labels, columns=labels)

    def predict_averaged(self, data: Data) -> np.ndarray:
        """Class probabilities (rows, classes) of a mixed model of two classes, averaged over its effects' posterior.

        Of `McGmenn` predictions of every outcome. See `toolkit.models.averaged`, `toolkit.models.mcgmenn_prediction`;
        `predict` takes the effects as known.

        Raises:
            DataError: E406 for another model.
        """
        if isinstance(self.trained, TrainedMcgmenn):
            return averaged_over_draws(self.trained, rows_of(data))
        return averaged_probabilities(self.trained, rows_of(data))

    def transitions(self) -> pd.DataFrame:
        """Transitions of every person: from_state, to_state, score, probability, expected, generic, observed.

        Raises:
            DataError: E406 for a model without states.
        """
        if "transitions" not in self.tables:
            raise DataError("this model has no transitions", code="E406", remedy="fit NmeCrf or GenericCrf")
        return self.tables["transitions"].copy()

    def transition_covariates(self) -> pd.DataFrame:
        """How covariates shift the transitions.

        Columns: covariate, meaning, from_state, to_state, estimate, se, low, high, pvalue, probability,
        probability_shifted.

        Estimates are differences of log-odds, centred within rows; see `covariate_table` in
        `toolkit.models.covariate_table`.

        Raises:
            DataError: E406 for a model without transition covariates.
        """
        if "transition_covariates" not in self.tables:
            raise DataError(
                "this model has no transition covariates",
                code="E406",
                remedy="fit NmeCrf or GenericCrf with transition_covariates",
            )
        return self.tables["transition_covariates"].copy()

    def experts(self) -> pd.DataFrame:
        """Weights of every expert: expert, persons, parameter, weight, shared, difference.

        Raises:
            DataError: E406 for a model without experts.
        """
        return self._of_experts("experts")

    def gate(self) -> pd.DataFrame:
        """Mean weight of each expert in each person's rows: person, split, expert, weight, rows, entropy.

        Raises:
            DataError: E406 for a model without experts.
        """
        return self._of_experts("gate")

    def _of_experts(self, name: str) -> pd.DataFrame:
        if name not in self.tables:
            raise DataError("this model has no experts", code="E406", remedy="fit Pen")
        return self.tables[name].copy()

    def predictions(self, target: str | None = None) -> pd.DataFrame:
        """Truth and prediction of every row, for one target: the first by default."""
        return of_target(self.tables["predictions"], target, self.manifest["targets"])

    def metrics(self, target: str | None = None) -> pd.DataFrame:
        """Metrics per person, their means, and pooled, for one target: the first by default."""
        return of_target(self.tables["metrics"], target, self.manifest["targets"])

    def trace(self) -> pd.DataFrame:
        """Training by epoch: objective, loss, penalty, sigma2, variance_mean, validation."""
        return self.tables["trace"].copy()


def rows_of(data: Data) -> GroupedDataset:
    """The rows behind a data set or its sequences."""
    return data.data if isinstance(data, SequenceBatch) else data
