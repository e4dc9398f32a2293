"""Account for every key of a checkpoint before it is loaded."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from mmp3d.registry import HOOKS


def check_checkpoint_keys(
    model: nn.Module, state: dict[str, Tensor], may_be_missing: Sequence[str] = ()
) -> None:
    """Raise unless a state dict fits a model completely.

    Args:
        model: The model that the weights are for.
        state: The weights.
        may_be_missing: Names of sub-modules that the checkpoint may lack as a whole.

    Raises:
        ValueError: If keys are missing, unexpected, or of another shape.
    """
    own = model.state_dict()
    absent = {
        name
        for name in may_be_missing
        if not any(key.startswith(f'{name}.') for key in state)
    }
    missing = [
        key
        for key in own
        if key not in state and not any(key.startswith(f'{n}.') for n in absent)
    ]
    unexpected = [key for key in state if key not in own]
    reshaped = [
        f'{key} {tuple(state[key].shape)} for {tuple(own[key].shape)}'
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    problems = [
        f'{len(keys)} {kind}: {", ".join(keys[:3])}{" ..." if len(keys) > 3 else ""}'
        for kind, keys in (
            ('keys are missing', missing),
            ('keys are unexpected', unexpected),
            ('tensors have another shape', reshaped),
        )
        if keys
    ]
    if problems:
        parts = sorted({key.split('.')[0] for key in unexpected})
        hint = (
            f' The checkpoint has the parts {parts}, which this config does not build '
            '(a stage-2 checkpoint with a stage-1 config?).'
            if parts
            else ' Use the config that the checkpoint was trained with.'
        )
        raise ValueError(
            f'the checkpoint does not fit {type(model).__name__}: '
            f'{"; ".join(problems)}.{hint}'
        )


@HOOKS.register_module()
class CheckpointKeysHook(Hook):
    """Refuse a checkpoint with an unexplained missing or unexpected key.

    The host loads what fits and only logs the rest; half-loaded weights then look like
    a bad model.

    Args:
        may_be_missing: Names of sub-modules that a checkpoint may lack as a whole:
            stage 2 starts from a checkpoint without ``frustum_branch``.
    """

    priority = 'VERY_HIGH'

    def __init__(self, may_be_missing: Sequence[str] = ()) -> None:
        self.may_be_missing = tuple(may_be_missing)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check the keys.

        Raises:
            ValueError: If they do not fit the model.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        check_checkpoint_keys(
            model, checkpoint.get('state_dict', checkpoint), self.may_be_missing
        )
