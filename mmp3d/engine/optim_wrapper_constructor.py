"""Which parameter is trained how: learning rate by part, no decay of norms."""

from __future__ import annotations

from collections import defaultdict

from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from torch import nn

from mmp3d.registry import (
    OPTIM_WRAPPER_CONSTRUCTORS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
)
from mmp3d.utils import nearest_name

UNDECAYED = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.Embedding,
)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class PartwiseOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Scale the learning rate of named parts; decay all but norms and embeddings.

    Reads ``paramwise_cfg=dict(lr_mults={'backbone': 0.1})``: dotted names of
    sub-modules and the factor of their learning rate. Parameters of norm layers and
    embeddings get no weight decay, biases do, frozen parameters are left out.

    Differs: the host's ``custom_keys`` decay the norms of every part that they name.

    Source: NVIDIA TAO Toolkit 7, NvPanoptix3D training recipe.
    """

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the optimiser with one parameter group per (rate, decay).

        Raises:
            KeyError: If ``paramwise_cfg`` names no sub-module of the model.
        """
        model = model.module if hasattr(model, 'module') else model
        groups: dict[tuple[float, bool], list[nn.Parameter]] = defaultdict(list)
        for name, module in model.named_modules():
            mult = self._lr_mult(model, name)
            for parameter in module.parameters(recurse=False):
                if parameter.requires_grad:
                    decayed = not isinstance(module, UNDECAYED)
                    groups[mult, decayed].append(parameter)
        params = [
            dict(
                params=parameters,
                lr=self.base_lr * mult,
                weight_decay=self.base_wd if decayed else 0.0,
            )
            for (mult, decayed), parameters in groups.items()
        ]
        if not params:
            raise ValueError(
                'nothing to train: every parameter is frozen. Check frozen=[...] of '
                'the detector.'
            )
        optimizer = OPTIMIZERS.build({**self.optimizer_cfg, 'params': params})
        return OPTIM_WRAPPERS.build(
            {'type': 'OptimWrapper', **self.optim_wrapper_cfg, 'optimizer': optimizer}
        )

    def _validate_cfg(self) -> None:
        unknown = set(self.paramwise_cfg) - {'lr_mults'}
        if unknown:
            raise KeyError(
                f'unknown paramwise_cfg keys {sorted(unknown)}; '
                f'{type(self).__name__} reads lr_mults only'
            )
        if self.base_wd is None or self.base_lr is None:
            raise KeyError('optimizer must give lr and weight_decay')

    def _lr_mult(self, model: nn.Module, name: str) -> float:
        lr_mults = self.paramwise_cfg.get('lr_mults', {})
        if not name:  # once per model
            names = [n for n, _ in model.named_modules()]
            for part in lr_mults:
                if part not in names:
                    raise KeyError(
                        f'lr_mults names {part!r}, which is no sub-module'
                        f'{nearest_name(part, names)}'
                    )
        fitting = [p for p in lr_mults if name == p or name.startswith(f'{p}.')]
        return lr_mults[max(fitting, key=len)] if fitting else 1.0
