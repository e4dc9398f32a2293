"""Building blocks of models: attention, rotary embedding, token maps; no registry.

May import ``mmp3d.structures`` and what lies below it. Start reading at
``attention.py``.
"""

from mmp3d.models.layers.attention import (
    Attention,
    Block,
    LayerScale,
    init_transformer,
)
from mmp3d.models.layers.batch_norm import BatchNorm2d
from mmp3d.models.layers.mlp import Mlp
from mmp3d.models.layers.position_embedding import (
    add_uv_embedding,
    bicubic_matrix,
    resize_grid,
    uv_waves,
)
from mmp3d.models.layers.query_layers import QueryAttention, QueryFeedForward
from mmp3d.models.layers.recomputation import run
from mmp3d.models.layers.rope import (
    RotaryTable,
    patch_positions,
    rotary_table,
    rotate,
)
from mmp3d.models.layers.sizes import image_size, patch_grid
from mmp3d.models.layers.token_reassembly import TokenReassembly

__all__ = [
    'Attention',
    'BatchNorm2d',
    'Block',
    'LayerScale',
    'Mlp',
    'QueryAttention',
    'QueryFeedForward',
    'RotaryTable',
    'TokenReassembly',
    'add_uv_embedding',
    'bicubic_matrix',
    'image_size',
    'init_transformer',
    'patch_grid',
    'patch_positions',
    'resize_grid',
    'rotary_table',
    'rotate',
    'run',
    'uv_waves',
]
