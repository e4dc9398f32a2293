"""The camera of every view, from its camera token."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mmp3d.models.layers import Block, Mlp, init_transformer
from mmp3d.registry import MODELS

_POSE_CHANNELS = 9  # translation 3, quaternion 4, field of view 2


@MODELS.register_module()
class CameraHead(nn.Module):
    """Refine a pose encoding in a few steps that share their weights.

    Args:
        dim: Channels of the camera tokens.
        trunk_depth: Transformer blocks per step; they attend over the views.
        num_heads: Attention heads of a block.
        num_iterations: Number of steps.
        init_values: Initial LayerScale of the blocks.

    Source: Wang et al., VGGT, section 3.3; modulation as in Peebles and Xie, Scalable
        Diffusion Models with Transformers, section 3.2 (adaLN).
    """

    def __init__(
        self,
        dim: int,
        trunk_depth: int = 4,
        num_heads: int = 16,
        num_iterations: int = 4,
        init_values: float = 0.01,
    ) -> None:
        super().__init__()
        self.num_iterations = num_iterations
        self.token_norm = nn.LayerNorm(dim)
        self.empty_pose_tokens = nn.Parameter(torch.zeros(1, 1, _POSE_CHANNELS))
        self.embed_pose = nn.Linear(_POSE_CHANNELS, dim)
        self.poseLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(dim, 3 * dim))
        self.adaln_norm = nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)
        self.trunk = nn.Sequential(
            *(
                Block(dim, num_heads, init_values=init_values)
                for _ in range(trunk_depth)
            )
        )
        self.trunk_norm = nn.LayerNorm(dim)
        self.pose_branch = Mlp(dim, dim // 2, _POSE_CHANNELS)
        init_transformer(self)

    def forward(
        self, camera_tokens: Float[Tensor, 'B V C']
    ) -> tuple[Float[Tensor, 'B V 9'], ...]:
        """Give the pose encoding after every step, the last one being the answer.

        Args:
            camera_tokens: The camera token of every view.

        Returns:
            Translation, quaternion, field of view (vertical, horizontal) in radians.
        """
        tokens = self.token_norm(camera_tokens)
        pose = self.empty_pose_tokens.expand(*tokens.shape[:2], -1)
        change = self._refine(tokens, pose)
        steps = [change]
        for _ in range(self.num_iterations - 1):
            pose = steps[-1]
            steps.append(pose + self._refine(tokens, pose.detach()))
        return tuple(_activate(pose) for pose in steps)

    def _refine(
        self, tokens: Float[Tensor, 'B V C'], pose: Float[Tensor, 'B V 9']
    ) -> Float[Tensor, 'B V 9']:
        """Give the change of a pose."""
        modulation = self.poseLN_modulation(self.embed_pose(pose))
        shift, scale, gate = modulation.chunk(3, dim=-1)
        modulated = self.adaln_norm(tokens) * (1 + scale) + shift
        return self.pose_branch(self.trunk_norm(self.trunk(gate * modulated + tokens)))


def _activate(pose: Float[Tensor, 'B V 9']) -> Float[Tensor, 'B V 9']:
    placement, field_of_view = pose.split([7, 2], dim=-1)
    return torch.cat([placement, F.relu(field_of_view)], dim=-1)
