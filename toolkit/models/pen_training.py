"""Training of a network of experts: the four stages of Algorithm 1 (Feffer, Rudovic and Picard, 2018)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ToolkitWarning
from toolkit.models import expert_prior as prior
from toolkit.models import experts as algebra
from toolkit.models.expert_groups import anonymous
from toolkit.models.extractors import FeatureMap, extractor_parameters, feature_map
from toolkit.models.pen import Pen, PenConfig
from toolkit.models.pen_experts import Experts, drawn_layer
from toolkit.models.pen_network import PenNetwork, own_extractor
from toolkit.models.pen_objectives import (
    extract,
    gate_terms,
    mixture_terms,
    shared_terms,
    validation_loss,
    validation_recognition,
)
from toolkit.models.pen_rows import Rows, Trainee
from toolkit.models.prepare import Scaler, TargetScale, Task, fit_scaler, scale_of_targets
from toolkit.optimise.descent import Keeper
from toolkit.optimise.minimise import Outcome, Progress
from toolkit.optimise.stages import BatchSettings, Stage, descend

STAGES = ("shared", "head", "gate", "experts")
COLLAPSED = 0.95
# Cross-entropy of validation rows, in nats, at which the gate knows the persons: sharper, it could not learn new ones.
RECOGNISED = 0.01
# Curvatures of more multiplications than this are updated in epochs 4, 16, 64, ... only.
CHEAP = 2e9
# Epochs before the variances of experts of classes are touched.
UNHURRIED = 3
SELDOM = {4**power for power in range(1, 10)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PenTrained:
    """A fitted network of experts and how training went.

    Attributes:
        network: the network.
        outcome: how the last stage ended, with the trace of all.
        training_rows: number of rows it was fitted to.
        posterior: posterior variances of the experts' parameters (experts, outputs, z + 1), where there is a prior.
    """

    network: PenNetwork
    outcome: Outcome
    training_rows: int
    posterior: np.ndarray | None

    @property
    def effect_names(self) -> tuple[str, ...]:
        """What differs between the experts."""
        return algebra.EXPERTS if self.network.has_experts else ()

    @property
    def status_details(self) -> dict[str, str]:
        """Further words on how the fit ended, for the manifest."""
        about = "of the experts given the gate and the other experts" if self.posterior is not None else "none"
        return {"posterior": about}


def train_pen(
    config: PenConfig,
    data: GroupedDataset,
    labels: np.ndarray,
    *,
    generator: torch.Generator,
    device: torch.device,
    progress: Progress | None = None,
    keeper: Keeper | None = None,
) -> PenTrained:
    """Fit a network of experts, or the shared network alone.

    Args:
        config: `Pen` or `PenShared`.
        data: the whole data set, with class codes where the outcome is a class.
        labels: ``train``, ``validation`` or ``test`` for each row.
        generator: start values and the order of the rows.
        device: where the tensors live.
        progress: called after each epoch.
        keeper: keeps the state of training between epochs.

    Raises:
        ConfigError: E302 for settings that do not fit the data.
    """
    trained_rows = np.flatnonzero(labels == "train")
    scaler = _scaler(config, data, trained_rows)
    features = feature_map(config.hidden, own_extractor(config), len(scaler.names))
    dtype = torch.float64 if config.precision == "float64" else torch.float32
    targets = _target_scale(config.task, data, trained_rows)
    outputs = _outputs(config.task, data)
    parameters = extractor_parameters(features, generator=generator, dtype=dtype, device=device)
    parameters |= _head(features.size, outputs, generator, dtype, device)

    def rows(part: str) -> Rows:
        chosen = data.take(labels == part)
        like = parameters[algebra.HEAD_WEIGHT]
        return _rows_of(chosen, config.task, scaler, targets, features, like=like)

    trainee = Trainee(
        config=config, task=config.task, parameters=parameters, train=rows("train"),
        validation=rows("validation") if (labels == "validation").any() else None,
    )  # fmt: skip
    experts = None
    if isinstance(config, Pen):
        experts = Experts(config, trainee, data, labels)
        parameters |= experts.start(generator)
    outcome = descend(
        _stages(trainee, experts), parameters, batch_settings(config), generator=generator,
        progress=progress, keeper=keeper,
    )  # fmt: skip
    if experts is not None and all(row["stage"] != STAGES.index("experts") for row in outcome.trace):
        experts.take_the_head()  # training broke off before the last stage
    network = PenNetwork(
        config=config,
        task=config.task,
        scaler=scaler,
        targets=targets,
        target_names=data.target_names,
        classes=data.classes if config.task != "regression" else None,
        grouping=data.groupings[0].name,
        levels=tuple(data.persons[code] for code in np.unique(np.asarray(data.person)[trained_rows])),
        groups=anonymous(0, data.n_persons) if experts is None else experts.groups,
        features=features,
        shared={name: value.detach().clone() for name, value in parameters.items()},
    )
    return finished(network, outcome, trainee)


def _stages(trainee: Trainee, experts: Experts | None) -> list[Stage]:
    """The stages of Algorithm 1 that apply; in a trace they keep their number among all four."""
    config, parameters = trainee.config, trainee.parameters
    checked = trainee.validation is not None
    shared = Stage(
        names=(*trainee.train.map.trained, *algebra.HEAD),
        objective=lambda batch: shared_terms(trainee, extract(trainee.train, parameters, batch), batch),
        rows=trainee.train.count,
        epochs=config.shared_epochs if trainee.train.map.trained else 0,
        validate=(lambda: validation_loss(trainee, mixed=False, frozen=False)) if checked else None,
    )
    head = Stage(
        names=algebra.HEAD,
        objective=lambda batch: shared_terms(trainee, trainee.train.z(parameters)[batch], batch),
        rows=trainee.train.count,
        epochs=config.head_epochs,
        validate=(lambda: validation_loss(trainee, mixed=False)) if checked else None,
    )
    return [shared, head] if experts is None else [shared, head, *_expert_stages(trainee, experts)]


def _expert_stages(trainee: Trainee, experts: Experts) -> list[Stage]:
    """Gate alone, then experts and gate."""
    config, validation = experts.config, trainee.validation
    known = (
        config.identities
        and validation is not None
        and bool(np.isin(experts.rows["validation"], experts.present).any())
    )
    gate = Stage(
        names=algebra.GATE,
        objective=lambda batch: gate_terms(trainee, experts, batch),
        rows=trainee.train.count,
        epochs=config.gate_epochs if config.identities else 0,
        validate=(lambda: validation_recognition(trainee, experts)) if known else None,
        enough=RECOGNISED if known else 0.0,
    )
    together = Stage(
        names=(*algebra.EXPERTS, *algebra.GATE),
        objective=lambda batch: mixture_terms(trainee, experts.config, batch, experts.groups),
        rows=trainee.train.count,
        epochs=config.epochs,
        validate=(lambda: validation_loss(trainee, mixed=True)) if validation is not None else None,
        begin=experts.take_the_head,
        update=variance_update(trainee, experts.count) if config.prior == "nme" else None,
    )
    return [gate, together]


def _rows_of(
    data: GroupedDataset, task: Task, scaler: Scaler, targets: TargetScale, features: FeatureMap, *, like: Tensor
) -> Rows:
    """Standardised rows as tensors like the given one; nobody's expert speaks for them yet."""
    numbers = task == "regression"
    values = (np.asarray(data.targets) - targets.mean) / targets.scale
    return Rows(
        features=torch.as_tensor(np.array(scaler.features(data))).to(like),
        targets=torch.as_tensor(values if numbers else values[:, 0]).to(
            like.device, like.dtype if numbers else torch.int64
        ),
        groups=torch.full((data.n_rows,), -1, dtype=torch.int64, device=like.device),
        map=features,
    )


def variance_update(trainee: Trainee, count: int) -> Callable[[int], None]:
    """What happens to the variances after an epoch: an update, at every epoch or ever more seldom."""
    size = trainee.parameters[algebra.HEAD_WEIGHT].shape[1]
    cheap = trainee.train.count * count * (size + 1) ** 2 <= CHEAP

    def update(epoch: int) -> None:
        if (cheap and (trainee.squared or epoch > UNHURRIED)) or epoch in SELDOM:
            z = trainee.train.z(trainee.parameters)
            prior.update_variances(trainee.parameters, z, trainee.train.targets, trainee.task)

    return update


def finished(
    network: PenNetwork, outcome: Outcome, trainee: Trainee, *, predict_only: bool = False, adapting: bool = False
) -> PenTrained:
    """The trained network with the posterior variances of its experts; warns of a gate that has one expert only.

    A few new persons may well need one expert only: nothing is said of that after adapting. Variances of many features
    take a while: a network that is to predict and no more goes without (``predict_only``).
    """
    posterior = None
    z = trainee.train.z(trainee.parameters)
    if isinstance(network.config, Pen):
        if not adapting:
            _warn_of_collapse(network, z)
        if network.config.prior == "nme" and not predict_only:
            codes = None if trainee.squared else trainee.train.targets
            curved = prior.curvature(network.shared, z, codes, trainee.task)
            posterior = prior.expert_variances(network.shared, curved, squared=trainee.squared).cpu().numpy()
    return PenTrained(network=network, outcome=outcome, training_rows=trainee.train.count, posterior=posterior)


@torch.no_grad()
def _warn_of_collapse(network: PenNetwork, z: Tensor) -> None:
    """W228 where one expert speaks for nearly every row."""
    weights = torch.softmax(algebra.gate_scores(network.shared, z), dim=1).mean(dim=0)
    if len(weights) > 1 and float(weights.max()) > COLLAPSED:
        words = (
            f"the gate has collapsed: one of {len(weights)} experts has {100 * float(weights.max()):.0f} % of the "
            "weight, and the others are idle. Raise lambda_0 or gate_epochs, lower the learning rate, or use fewer "
            "experts"
        )
        warnings.warn(ToolkitWarning(words, code="W228"), stacklevel=4)


def batch_settings(config: PenConfig) -> BatchSettings:
    """Settings of every stage."""
    return BatchSettings(
        lr=config.lr,
        batch=config.batch,
        patience=config.patience,
        weight_decay=config.weight_decay,
        optimiser=config.optimiser,
    )


def _scaler(config: PenConfig, data: GroupedDataset, rows: np.ndarray) -> Scaler:
    """Standardisation by the training rows; a module of one's own gets the features as they are."""
    if config.extractor is None:
        return fit_scaler(data, rows, task=config.task)
    count = data.n_features
    return Scaler(
        names=data.feature_names, dropped=(), mean=np.zeros(count), scale=np.ones(count), target_mean=0.0,
        target_scale=1.0,
    )  # fmt: skip


def _target_scale(task: Task, data: GroupedDataset, rows: np.ndarray) -> TargetScale:
    """Means and SDs of numeric targets in the training rows."""
    return scale_of_targets(data, rows) if task == "regression" else TargetScale(mean=np.zeros(1), scale=np.ones(1))


def _outputs(task: Task, data: GroupedDataset) -> int:
    """Outputs of a head: the targets, the score of the second class, or one score for each class."""
    return len(data.target_names) if task == "regression" else 1 if task == "binary" else len(data.classes or ())


def _head(
    size: int, outputs: int, generator: torch.Generator, dtype: torch.dtype, device: torch.device
) -> dict[str, Tensor]:
    """The shared head at its start values."""
    head = {
        algebra.HEAD_WEIGHT: torch.zeros((outputs, size), dtype=dtype, device=device),
        algebra.HEAD_BIAS: torch.zeros(outputs, dtype=dtype, device=device),
    }
    fresh_head(head, generator)
    return head


def fresh_head(parameters: dict[str, Tensor], generator: torch.Generator) -> None:
    """Draw the shared head anew, in place: weights from U(-1, 1) / sqrt(size), offsets zero."""
    drawn_layer(parameters[algebra.HEAD_WEIGHT], generator)
    parameters[algebra.HEAD_BIAS].zero_()
