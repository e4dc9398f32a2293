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
) -> frozenset[str]:
    """Raise unless a state dict fits a model completely.

    Args:
        model: The model that the weights are for.
        state: The weights.
        may_be_missing: Names of sub-modules that the checkpoint may lack as a whole.

    Returns:
        Which of them it does lack.

    Raises:
        ValueError: If keys are missing, unexpected, or of another shape.
    """
    own = model.state_dict()
    absent = frozenset(
        name
        for name in may_be_missing
        if not any(key.startswith(f'{name}.') for key in state)
    )
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
    return absent


@HOOKS.register_module()
class CheckpointKeysHook(Hook):
    """Refuse a checkpoint with an unexplained missing or unexpected key.

    The host loads what fits and only logs the rest; half-loaded weights then look like
    a bad model.

    Args:
        may_be_missing: Names of sub-modules that a checkpoint may lack as a whole:
            the training of stage 2 starts from one without ``frustum_branch``. A test
            of such a checkpoint is refused: it would measure random weights.
    """

    priority = 'VERY_HIGH'

    def __init__(self, may_be_missing: Sequence[str] = ()) -> None:
        self.may_be_missing = tuple(may_be_missing)
        self.random_parts: frozenset[str] = frozenset()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check the keys.

        Raises:
            ValueError: If they do not fit the model.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self.random_parts = check_checkpoint_keys(
            model, checkpoint.get('state_dict', checkpoint), self.may_be_missing
        )

    def after_train(self, runner: Runner) -> None:
        """Nothing is random any more."""
        self.random_parts = frozenset()

    def before_test(self, runner: Runner) -> None:
        """Refuse to test what was never trained.

        Raises:
            ValueError: If the checkpoint lacked a part.
        """
        if self.random_parts:
            raise ValueError(
                f'the checkpoint {runner._load_from} has no weights of '
                f'{sorted(self.random_parts)}, so a test would measure random ones (a '
                'stage-1 checkpoint with a stage-2 config?). Give the checkpoint of a '
                'run of this config, or the config of the checkpoint.'
            )
