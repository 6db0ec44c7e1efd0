"""A fitted network with its person effects: predictions for known and unknown persons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from toolkit.data.grouped import GroupedDataset
from toolkit.data.groupings import Grouping
from toolkit.effects.problem import Problem
from toolkit.effects.random_effects import FactorEffects, JointLayout, RandomEffects
from toolkit.effects.random_effects import Layout as EffectsLayout
from toolkit.effects.terms import GAPS
from toolkit.errors import DataError
from toolkit.models.chain_covariates import Covariates
from toolkit.models.chain_structure import forbidden_of, refuse_forbidden
from toolkit.models.config import Configuration
from toolkit.models.likelihoods import sequence_emissions, sequence_transitions
from toolkit.models.nme_crf import CrfConfig, Prediction
from toolkit.models.outcome_networks import thresholds
from toolkit.models.outcomes import predicted
from toolkit.models.prepare import Layout, Scaler, Task, lay_out, padded
from toolkit.models.row_losses import Criterion
from toolkit.numerics import chain

# "person", "population", or the name of a further grouping factor
Level = str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChainScores:
    """Sequences ready for the chain functions: their arguments by name, and the observed states (batch, time)."""

    scores: dict[str, Any]
    states: Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedNetwork:
    """Everything a prediction needs.

    Attributes:
        config: the settings it was fitted with.
        task: kind of outcome.
        scaler: standardisation of features and target.
        classes: class or state names; None for a numeric target.
        grouping: name of the grouping factor (person).
        levels: persons with effects of their own, in the order of ``effects.eta``.
        module: the network's structure.
        shared: shared parameters by name.
        effects: person effects (of size zero for a generic model).
        further: effects of further grouping factors.
        covariates: of the transitions, if there are any.
        criterion: how the outcome was judged, with the weights of its classes or the residual variances of its targets.
        target_names: the targets, where there are several.
    """

    config: Configuration
    task: Task
    scaler: Scaler
    classes: tuple[str, ...] | None
    grouping: str
    levels: tuple[str, ...]
    module: nn.Module
    shared: dict[str, Tensor]
    effects: RandomEffects
    further: tuple[FactorEffects, ...] = ()
    covariates: Covariates | None = None
    criterion: Criterion = field(default_factory=Criterion)
    target_names: tuple[str, ...] = ()

    @property
    def groupings(self) -> tuple[str, ...]:
        """Names of the grouping factors, the person first."""
        return (self.grouping, *(factor.grouping for factor in self.further))

    @property
    def line_layout(self) -> EffectsLayout:
        """Where the effects of a line belong."""
        if not self.further:
            return self.effects.layout
        return JointLayout(parts=(self.effects.layout, *(factor.effects.layout for factor in self.further)))

    @property
    def etas(self) -> tuple[Tensor, ...]:
        """Effects of every grouping factor."""
        return (self.effects.eta, *(factor.effects.eta for factor in self.further))

    @property
    def forbidden(self) -> np.ndarray | None:
        """Transitions that cannot occur (state, state); None if all can."""
        return forbidden_of(self.config, self.classes)

    @property
    def thresholds(self) -> np.ndarray | None:
        """Thresholds between ordered classes (classes - 1,) on the scale of the latent score of an average row.

        The latent score of a row whose features are all at their training means is zero in a linear network, as in
        `statsmodels.miscmodels.ordinal_model.OrderedModel` with centred features. None for other outcomes.
        """
        if self.task != "ordinal":
            return None
        bias = self.shared[f"layers.{len(getattr(self.config, 'hidden', ()))}.bias"]
        return (thresholds(self.shared[GAPS]) - bias).cpu().numpy().astype(np.float64)

    def codes(self, data: GroupedDataset) -> np.ndarray:
        """Code of each row's person among the fitted ones; -1 for a person who was not in training."""
        return _known(data.groupings[0], self.levels)

    def all_codes(self, data: GroupedDataset) -> np.ndarray:
        """Codes of each row's levels (rows, factors) where there are several grouping factors, else of its person.

        Raises:
            DataError: E405 where the data lack a grouping factor.
        """
        if not self.further:
            return self.codes(data)
        columns = [self.codes(data)]
        for factor in self.further:
            own = [grouping for grouping in data.groupings[1:] if grouping.name == factor.grouping]
            if not own:
                raise DataError(
                    f"the data have no grouping factor '{factor.grouping}'",
                    code="E405",
                    column=factor.grouping,
                    remedy=f"name the columns {', '.join(self.groupings)} as groups",
                )
            columns.append(_known(own[0], factor.levels))
        return np.column_stack(columns)

    def predict(
        self,
        data: GroupedDataset,
        level: Level = "person",
        *,
        strict: bool = False,
        prediction: Prediction | None = None,
    ) -> np.ndarray:
        """Predictions in the order of the rows.

        Args:
            data: rows to predict; features are matched by name, persons by label.
            level: ``person`` adds each person's effects (an unknown person has none and gets the population's
                prediction), ``population`` leaves them out. With several grouping factors ``person`` adds the effects
                of all of them, and the name of another one, such as ``family``, those of that factor and the ones named
                after it: the prediction for a person nobody has seen, of a family that is known.
            strict: refuse unknown persons instead.
            prediction: chains only: ``sequence`` or ``forecast`` (see `CrfConfig`); the configuration's if not given.
                A forecast uses the states observed in earlier rows of the data.

        Returns:
            Values (rows,) in the units of the target (of counts, the mean), (rows, targets) for several, or class
            probabilities (rows, classes).

        Raises:
            DataError: E119 for unknown persons if strict; E405 for missing features; E302 for an unknown level.
        """
        codes = self._checked_codes(data, level, strict)
        if self.task == "sequence" and data.target_name is not None:
            data = data.as_classes(self.classes)  # a forecast reads earlier states: in the fitted model's codes
        if self.task == "sequence":
            chosen = prediction or (self.config.prediction if isinstance(self.config, CrfConfig) else "sequence")
            if chosen == "forecast" and data.target_name is not None:
                refuse_forbidden(data, self.forbidden)  # what follows an impossible move cannot be forecast
            return self._in_rows(data, codes, _forecast if chosen == "forecast" else _posterior)
        return predicted(self.task, self._row_outputs(data, codes, level), self.scaler)

    def predict_frame(self, data: GroupedDataset, level: Level = "person", *, strict: bool = False) -> pd.DataFrame:
        """Predictions as a table; ``person_known`` is False where the population's prediction stands in.

        With several grouping factors ``family_known`` and the like say the same of the others. Classes have one column
        ``probability_<class>`` each, several targets one column ``prediction_<target>`` each (``prediction`` is the
        first). Errors as in `predict`.
        """
        values = self.predict(data, level, strict=strict)
        frame = pd.DataFrame(
            {
                "row": np.asarray(data.row_numbers),
                "person": np.array(data.persons, dtype=object)[np.asarray(data.person)],
                "person_known": self.codes(data) >= 0,
            }
        )
        if self.further:
            known = self.all_codes(data) >= 0
            frame = frame.assign(**{f"{name}_known": known[:, k] for k, name in enumerate(self.groupings) if k})
        if self.classes is None and values.ndim == 2:
            named = {f"prediction_{name}": values[:, place] for place, name in enumerate(self.target_names)}
            return frame.assign(prediction=values[:, 0], **named)
        if self.classes is None:
            return frame.assign(prediction=values)
        frame["prediction"] = np.array(self.classes, dtype=object)[values.argmax(axis=1)]
        return frame.assign(**{f"probability_{name}": values[:, code] for code, name in enumerate(self.classes)})

    def decode(self, data: GroupedDataset, level: Level = "person", *, strict: bool = False) -> np.ndarray:
        """Most likely state sequence of each whole sequence (Viterbi), as codes in the order of the rows (rows,).

        Raises:
            DataError: E302 if the model is not a chain.
        """
        if self.task != "sequence":
            raise DataError("only chain models decode sequences", code="E302", remedy="use predict")
        codes = self._checked_codes(data, level, strict)
        return self._in_rows(data, codes, _best_path)[:, 0].astype(np.int64)

    def pair_marginals(self, data: GroupedDataset) -> tuple[np.ndarray, np.ndarray]:
        """Expected transitions of each sequence given its predictors (batch, state, state), and person codes."""
        arguments, layout = self._chain(data, self.all_codes(data))
        pairs = chain.expected_transitions(**arguments.scores)
        assert layout.sequences is not None
        return pairs.cpu().numpy().astype(np.float64), np.asarray(layout.sequences.person)

    def chain_scores(self, data: GroupedDataset, level: Level = "person") -> tuple[ChainScores, Layout]:
        """Scores of the sequences of a data set at a level, and where their rows are; errors as in `predict`."""
        return self._chain(data, self._checked_codes(data, level, strict=False))

    @torch.no_grad()
    def outputs(self, data: GroupedDataset, codes: np.ndarray) -> tuple[Tensor, Layout]:
        """Network outputs of every padded row, and where the rows are."""
        layout = lay_out(data, codes, task=self.task)
        rows, _ = self._evaluate(data, layout)
        return rows, layout

    def _row_outputs(self, data: GroupedDataset, codes: np.ndarray, level: Level) -> np.ndarray:
        """Network outputs of each row (rows, outputs)."""
        outputs, layout = self.outputs(data, codes)
        return outputs[layout.groups.line, layout.groups.place].cpu().numpy().astype(np.float64)

    def _evaluate(self, data: GroupedDataset, layout: Layout) -> tuple[Tensor, dict[str, Tensor]]:
        """Outputs of the padded rows and chain parameters of the lines."""
        like = next(iter(self.shared.values()))
        inputs = padded(self.scaler.features(data), layout.groups)
        lines = torch.as_tensor(layout.groups.persons, device=like.device)
        further = torch.as_tensor(layout.groups.further, device=like.device) if self.further else None
        part = Problem(
            module=self.module,
            inputs=torch.as_tensor(inputs).to(device=like.device, dtype=like.dtype),
            persons=lines,
            further=further,
            loss=lambda outputs, _: outputs.sum(dim=(1, 2)),
            rows=data.n_rows,
        )
        return part.outputs(self.shared, self.line_layout, part.lines_of(*self.etas))

    @torch.no_grad()
    def _chain(self, data: GroupedDataset, codes: np.ndarray) -> tuple[ChainScores, Layout]:
        """Scores and observed states of the sequences of a data set."""
        layout = lay_out(data, codes, task=self.task)
        rows, parameters = self._evaluate(data, layout)
        steps = torch.as_tensor(layout.steps, device=rows.device)
        lines = torch.as_tensor(layout.sequence_lines, device=rows.device)
        assert layout.sequences is not None
        forbidden, values = self.forbidden, None
        if self.covariates is not None:
            values = torch.as_tensor(self.covariates.values(data, layout.sequences)).to(rows)
        cells = None if forbidden is None else torch.as_tensor(forbidden, device=rows.device)
        scores = {
            "emissions": sequence_emissions(rows, steps),
            "transitions": sequence_transitions(parameters, lines, values, cells),
            "mask": steps >= 0,
            "start": parameters.get("start"),
            "end": parameters.get("end"),
        }
        states = torch.as_tensor(np.array(layout.sequences.states), device=rows.device)
        return ChainScores(scores=scores, states=states), layout

    def _in_rows(
        self, data: GroupedDataset, codes: np.ndarray, quantity: Callable[[ChainScores], Tensor]
    ) -> np.ndarray:
        """A quantity of the steps of all sequences, in the order of the rows."""
        arguments, layout = self._chain(data, codes)
        values = quantity(arguments).cpu().numpy()
        assert layout.sequences is not None
        rows = np.asarray(layout.sequences.rows)
        result = np.zeros((data.n_rows, values.shape[-1]))
        result[rows[rows >= 0]] = values[rows >= 0]
        return result

    def _checked_codes(self, data: GroupedDataset, level: Level, strict: bool) -> np.ndarray:
        """Person codes, or codes in every grouping factor, at a level; see `predict` for the errors."""
        names = self.groupings
        if level not in ("person", "population", *names[1:]):
            raise DataError(
                "level is neither 'person' nor 'population'"
                + (f", nor one of {', '.join(names[1:])}" if self.further else ""),
                code="E302",
                column="level",
            )
        codes = self.codes(data)
        if strict and level == "person" and (codes < 0).any():
            unknown = np.unique(np.asarray(data.person)[codes < 0]).size
            raise DataError(
                f"{unknown} {'person was' if unknown == 1 else 'persons were'} not in training",
                code="E119",
                column=self.grouping,
                rows=(np.asarray(data.row_numbers)[codes < 0] + 2).tolist(),  # as a spreadsheet counts
                remedy='predict with level="population" or without strict',
            )
        if not self.further:
            return codes if level == "person" else np.full(data.n_rows, -1, dtype=np.int64)
        first = 0 if level == "person" else len(names) if level == "population" else names.index(level)
        found = self.all_codes(data) if first < len(names) else np.full((data.n_rows, len(names)), -1, dtype=np.int64)
        found[:, :first] = -1
        return found


def _known(grouping: Grouping, levels: tuple[str, ...]) -> np.ndarray:
    """Code of each row's level among those of training; -1 for one that was not there."""
    place = {level: code for code, level in enumerate(levels)}
    known = np.array([place.get(level, -1) for level in grouping.levels], dtype=np.int64)
    return known[np.asarray(grouping.codes)]


def _posterior(chains: ChainScores) -> Tensor:
    """State probabilities given the predictors of the whole sequence."""
    return chain.marginals(**chains.scores)[0]


def _forecast(chains: ChainScores) -> Tensor:
    """State probabilities one step ahead; what follows a step does not enter, hence no end scores."""
    return chain.forecast(
        states=chains.states, **{name: value for name, value in chains.scores.items() if name != "end"}
    )


def _best_path(chains: ChainScores) -> Tensor:
    """The most likely path, as one column."""
    return chain.viterbi(**chains.scores)[0][..., None]
