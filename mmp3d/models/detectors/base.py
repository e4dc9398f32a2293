"""The detector that runners talk to: loss, predict or tensors of one batch."""

from __future__ import annotations

from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import fields, is_dataclass

import torch
from mmengine.dist import all_reduce, is_distributed
from mmengine.model import BaseModel
from torch import Tensor

from mmp3d.registry import MODELS
from mmp3d.structures import CameraBatch, LabelSpace, PanopticReconstructionSample
from mmp3d.utils import check_choice, freeze_modules, keep_frozen_in_eval

Samples = Sequence[PanopticReconstructionSample]


class ReconstructionDetector(BaseModel):
    """Base of every system here.

    Args:
        label_space: Name of the ``LabelSpace`` that the logit columns stand for. A
            sample of another one is refused.
        frozen: Dotted names of sub-modules that are not trained: they get no gradient
            and stay in eval mode, so that no running statistic moves.
        data_preprocessor: Config of the preprocessor that makes the ``CameraBatch``.
        init_cfg: mmengine's initialisation config.
    """

    def __init__(
        self,
        label_space: str,
        frozen: Sequence[str] = (),
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            # Built here: the host looks in its own registry only.
            None if data_preprocessor is None else MODELS.build(data_preprocessor),
            init_cfg,
        )
        self.label_space = LabelSpace.named(label_space)
        self.frozen = tuple(frozen)

    def freeze(self) -> None:
        """Freeze the named sub-modules; call it when all of them exist."""
        freeze_modules(self, self.frozen)

    def train(self, mode: bool = True) -> ReconstructionDetector:
        """Set the training mode; frozen sub-modules stay in eval mode."""
        super().train(mode)
        keep_frozen_in_eval(self, self.frozen)
        return self

    def forward(
        self,
        inputs: CameraBatch,
        data_samples: Samples | None = None,
        mode: str = 'tensor',
    ) -> dict[str, Tensor] | list[PanopticReconstructionSample] | tuple[Tensor, ...]:
        """Run one batch.

        Args:
            inputs: What the data preprocessor made.
            data_samples: One per image; only 'tensor' works without them.
            mode: 'loss' for a dict of losses, 'predict' for samples with predictions,
                'tensor' for raw outputs.

        Raises:
            ValueError: If the mode is unknown, or a sample's classes are not ours.
        """
        check_choice('mode', mode, ('loss', 'predict', 'tensor'))
        if mode == 'tensor':
            return self.tensors(inputs)
        self._check_label_space(data_samples)
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        return self.predict(inputs, data_samples)

    def _check_label_space(self, data_samples: Samples) -> None:
        for sample in data_samples:
            space = sample.label_space
            if space.classes != self.label_space.classes:
                raise ValueError(
                    f'sample {sample.sample_id!r} has the label space {space.name!r} '
                    f'with {space.num_classes} classes, the model '
                    f'{self.label_space.name!r} with {self.label_space.num_classes}. '
                    'Give the dataset and the model the same label_space.'
                )

    def parse_losses(
        self, losses: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum up the losses.

        Returns:
            The loss of this process, to train with; what is logged: all terms and their
            sum, averaged over the processes.
        """
        loss, logged = super().parse_losses(losses)
        if is_distributed():
            values = torch.stack([value.detach().float() for value in logged.values()])
            all_reduce(values, op='mean')
            logged = OrderedDict(zip(logged, values, strict=True))
        return loss, logged

    @abstractmethod
    def loss(self, inputs: CameraBatch, data_samples: Samples) -> dict[str, Tensor]:
        """Losses by name, weighted."""

    @abstractmethod
    def predict(
        self, inputs: CameraBatch, data_samples: Samples
    ) -> list[PanopticReconstructionSample]:
        """The samples with predictions added."""

    @abstractmethod
    def tensors(self, inputs: CameraBatch) -> tuple[Tensor, ...]:
        """Raw outputs, for tracing and cost measurements."""


def tensors_of(structure: object) -> tuple[Tensor, ...]:
    """All tensors of a (nested) hand-over, in the order of its fields."""
    if isinstance(structure, torch.Tensor):
        return (structure,)
    if is_dataclass(structure):
        structure = [getattr(structure, field.name) for field in fields(structure)]
    if isinstance(structure, list | tuple):
        return tuple(t for part in structure for t in tensors_of(part))
    return ()
