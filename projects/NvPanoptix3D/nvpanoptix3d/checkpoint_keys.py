"""Published checkpoint keys and ours: one table of rules, read in both directions.

The published names are those of NVIDIA's stage-1 and stage-2 checkpoints after the
prefix ``model.`` has been stripped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """A change of a tensor's layout, and the way back."""

    to_ours: Callable[[Tensor], Tensor]
    to_published: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Rename:
    """Published prefix or name -> ours.

    Attributes:
        published: Name with ``{}`` for every running index or name part.
        ours: Name with the same number of ``{}``.
        layout: Change of layout; ``None`` = as it is.
    """

    published: str
    ours: str
    layout: Layout | None = None


@dataclass(frozen=True)
class Drop:
    """Published tensors that no part of ours reads, and why."""

    published: str
    reason: str


# Order matters: the first rule that fits is taken. A ``{}`` at the end stands for the
# rest of the name; elsewhere it stands for one dotted part.

_MASK_TOKEN = 'the mask token of the pre-training; no image is masked here'

BACKBONE_RULES: tuple[Rename | Drop, ...] = (
    Drop('backbone.aggregator.patch_embed.mask_token', _MASK_TOKEN),
    Rename('backbone.dpt2pixeldecoder.{}', 'backbone.token_pyramid.{}'),
    Rename('backbone.{}', 'backbone.{}'),
    # Meta's own checkpoint of the backbone has no prefix. These rules stand behind the
    # published ones, so that the way back gives the published names.
    Drop('aggregator.patch_embed.mask_token', _MASK_TOKEN),
    Drop('point_head.{}', 'point maps follow from depth and intrinsics'),
    Drop('track_head.{}', 'nothing is tracked in single images'),
    Rename('aggregator.{}', 'backbone.aggregator.{}'),
    Rename('camera_head.{}', 'backbone.camera_head.{}'),
    Rename('depth_head.{}', 'backbone.depth_head.{}'),
)

_PIXEL = 'sem_seg_head.pixel_decoder'
_PIXEL_LAYER = f'{_PIXEL}.transformer.encoder.layers.{{}}'
_OUR_PIXEL_LAYER = 'pixel_decoder.encoder.layers.{}'

PIXEL_DECODER_RULES: tuple[Rename | Drop, ...] = (
    Rename(f'{_PIXEL}.input_proj.{{}}.0.{{}}', 'pixel_decoder.input_convs.{}.conv.{}'),
    Rename(f'{_PIXEL}.input_proj.{{}}.1.{{}}', 'pixel_decoder.input_convs.{}.gn.{}'),
    Rename(f'{_PIXEL}.transformer.level_embed', 'pixel_decoder.level_encoding.weight'),
    Rename(f'{_PIXEL_LAYER}.self_attn.{{}}', f'{_OUR_PIXEL_LAYER}.self_attn.{{}}'),
    Rename(f'{_PIXEL_LAYER}.linear1.{{}}', f'{_OUR_PIXEL_LAYER}.ffn.layers.0.0.{{}}'),
    Rename(f'{_PIXEL_LAYER}.linear2.{{}}', f'{_OUR_PIXEL_LAYER}.ffn.layers.1.{{}}'),
    Rename(f'{_PIXEL_LAYER}.norm1.{{}}', f'{_OUR_PIXEL_LAYER}.norms.0.{{}}'),
    Rename(f'{_PIXEL_LAYER}.norm2.{{}}', f'{_OUR_PIXEL_LAYER}.norms.1.{{}}'),
    Rename(f'{_PIXEL}.adapter_1.weight', 'pixel_decoder.lateral_convs.0.conv.weight'),
    Rename(f'{_PIXEL}.adapter_1.norm.{{}}', 'pixel_decoder.lateral_convs.0.gn.{}'),
    Rename(f'{_PIXEL}.layer_1.weight', 'pixel_decoder.output_convs.0.conv.weight'),
    Rename(f'{_PIXEL}.layer_1.norm.{{}}', 'pixel_decoder.output_convs.0.gn.{}'),
    Rename(f'{_PIXEL}.mask_features.{{}}', 'pixel_decoder.mask_feature.{}'),
)

_QUERY = 'sem_seg_head.predictor'
_OUR_QUERY = 'panoptic_head.decoder'
_PROJECT = 'sem_seg_head.depth_projector'
_OUR_PROJECT = 'panoptic_head.depth_projector'
_PLANE = 'sem_seg_head.occupancy_module'
_OUR_PLANE = 'panoptic_head.plane_occupancy'


def _attention_rules(published: str, inner: str, ours: str) -> tuple[Rename, ...]:
    theirs = f'{_QUERY}.{published}.{{}}'
    mine = f'{_OUR_QUERY}.layers.{{}}.{ours}'
    return (
        Rename(f'{theirs}.{inner}.in_proj_weight', f'{mine}.in_proj.weight'),
        Rename(f'{theirs}.{inner}.in_proj_bias', f'{mine}.in_proj.bias'),
        Rename(f'{theirs}.{inner}.out_proj.{{}}', f'{mine}.out_proj.{{}}'),
        Rename(f'{theirs}.norm.{{}}', f'{mine}.norm.{{}}'),
    )


def _up_rules(published: str, ours: str) -> tuple[Rename, ...]:
    parts = {
        'conv1': 'widen.conv',
        'bn1': 'widen.bn',
        'conv1_2': 'refine.conv',
        'bn1_2': 'refine.bn',
        'conv2': 'skip.conv',
        'bn2': 'skip.bn',
    }
    return tuple(
        Rename(f'{_PLANE}.{published}.{old}.{{}}', f'{_OUR_PLANE}.{ours}.{new}.{{}}')
        for old, new in parts.items()
    )


def _projector_rules(published: int, ours: int) -> tuple[Rename, ...]:
    block = f'{_PROJECT}.proj_convs1.{published}.conv_block'
    reduce = f'{_OUR_PROJECT}.reduce.{ours}'
    return (
        Rename(f'{block}.0.{{}}', f'{reduce}.conv.{{}}'),
        Rename(f'{block}.1.{{}}', f'{reduce}.bn.{{}}'),
        Rename(
            f'{_PROJECT}.proj_convs2.{published}.{{}}',
            f'{_OUR_PROJECT}.project.{ours}.{{}}',
        ),
    )


PANOPTIC_HEAD_RULES: tuple[Rename | Drop, ...] = (
    Drop(
        f'{_QUERY}.cross_transformer_attention_layers.{{}}',
        'a fourth attention per layer that the published forward never calls',
    ),
    Drop(
        f'{_QUERY}.depth_decoder_norm.{{}}',
        'norm of the per-query depth head, which no published output depends on',
    ),
    Drop(
        f'{_QUERY}.depth_embed.{{}}',
        'per-query depth head, which no published output depends on',
    ),
    *_attention_rules(
        'transformer_cross_attention_layers', 'multihead_attn', 'image_attention'
    ),
    *_attention_rules(
        'depth_transformer_cross_attention_layers', 'multihead_attn', 'depth_attention'
    ),
    *_attention_rules(
        'transformer_self_attention_layers', 'self_attn', 'self_attention'
    ),
    Rename(
        f'{_QUERY}.transformer_ffn_layers.{{}}.{{}}',
        f'{_OUR_QUERY}.layers.{{}}.feedforward.{{}}',
    ),
    Rename(f'{_QUERY}.decoder_norm.{{}}', f'{_OUR_QUERY}.norm.{{}}'),
    Rename(f'{_QUERY}.query_feat.{{}}', f'{_OUR_QUERY}.query_content.{{}}'),
    Rename(f'{_QUERY}.query_embed.{{}}', f'{_OUR_QUERY}.query_position.{{}}'),
    Rename(f'{_QUERY}.level_embed.{{}}', f'{_OUR_QUERY}.image_level.{{}}'),
    Rename(f'{_QUERY}.depth_level_embed.{{}}', f'{_OUR_QUERY}.depth_level.{{}}'),
    Rename(f'{_QUERY}.class_embed.{{}}', f'{_OUR_QUERY}.class_embed.{{}}'),
    Rename(f'{_QUERY}.mask_embed.{{}}', f'{_OUR_QUERY}.mask_embed.{{}}'),
    Drop(
        f'{_PROJECT}.proj_convs1.0.{{}}',
        'projection of the finest depth map, whose result is discarded',
    ),
    Drop(
        f'{_PROJECT}.proj_convs2.0.{{}}',
        'projection of the finest depth map, whose result is discarded',
    ),
    # Published levels run fine to coarse, ours coarse to fine.
    *_projector_rules(published=3, ours=0),
    *_projector_rules(published=2, ours=1),
    *_projector_rules(published=1, ours=2),
    Rename(f'{_PLANE}.decoder.conv.{{}}', f'{_OUR_PLANE}.entry.conv.{{}}'),
    Rename(f'{_PLANE}.decoder.bn.{{}}', f'{_OUR_PLANE}.entry.bn.{{}}'),
    *(
        rule
        for i in range(4)
        for rule in (
            *_up_rules(f'decoder.up{i + 1}', f'decoder.{i}'),
            *_up_rules(f'multi_feature_fuser.up{i + 1}', f'contributions.{i}'),
        )
    ),
    Rename(f'{_PLANE}.multi_feature_fuser.conv.{{}}', f'{_OUR_PLANE}.fuse.conv.{{}}'),
    Rename(f'{_PLANE}.multi_feature_fuser.bn.{{}}', f'{_OUR_PLANE}.fuse.bn.{{}}'),
    *_up_rules('prediction.resize', 'resize'),
    Rename(f'{_PLANE}.prediction.conv0.{{}}', f'{_OUR_PLANE}.hidden.0.conv.{{}}'),
    Rename(f'{_PLANE}.prediction.bn0.{{}}', f'{_OUR_PLANE}.hidden.0.bn.{{}}'),
    Rename(f'{_PLANE}.prediction.conv1.{{}}', f'{_OUR_PLANE}.hidden.1.conv.{{}}'),
    Rename(f'{_PLANE}.prediction.bn1.{{}}', f'{_OUR_PLANE}.hidden.1.bn.{{}}'),
    Rename(f'{_PLANE}.prediction.conv2.{{}}', f'{_OUR_PLANE}.predict.{{}}'),
)

_OUR_FEATURES = 'frustum_branch.feature_projector'

_SCENE = 'completion'
_OUR_SCENE = 'frustum_branch.decoder'

# A convolution of size 1: published (1, in, out), ours (out, in).
_ONE_TAP = Layout(lambda w: w[0].T.contiguous(), lambda w: w.T[None].contiguous())


def _linear_rules(published: str, ours: str) -> tuple[Rename, ...]:
    """A sparse convolution of size 1 is a linear layer here."""
    published, ours = f'{_SCENE}.{published}', f'{_OUR_SCENE}.{ours}'
    return (
        Rename(f'{published}.weight', f'{ours}.weight', _ONE_TAP),
        Rename(f'{published}.bias', f'{ours}.bias'),
    )


def _scene_rule(published: str, ours: str) -> Rename:
    return Rename(f'{_SCENE}.{published}', f'{_OUR_SCENE}.{ours}')


# Published levels are counted, ours are named by the stride of their output. Other
# sparse kernels are (taps, in, out) in both, dense ones PyTorch's own.
_ENCODER_STRIDES = (2, 4, 8, 16, 32)
_DECODER_STRIDES = (1, 2, 4, 8, 16)

FRUSTUM_RULES: tuple[Rename | Drop, ...] = (
    Rename('projector.conv_block1.0.{}', f'{_OUR_FEATURES}.reduce.conv.{{}}'),
    Rename('projector.conv_block1.1.{}', f'{_OUR_FEATURES}.reduce.bn.{{}}'),
    Rename('projector.conv_block2.{}', f'{_OUR_FEATURES}.project.{{}}'),
    *_linear_rules('input_encoders.{}.downsample.0', 'input_encoders.{}.shortcut.0'),
    _scene_rule('input_encoders.{}', 'input_encoders.{}'),
    *(
        rule
        for level, stride in enumerate(_ENCODER_STRIDES)
        for rule in (
            *_linear_rules(
                f'feature_adapters.{level}.0.downsample.0',
                f'coarse_adapters.stride_{stride}.shortcut.0',
            ),
            _scene_rule(
                f'feature_adapters.{level}.0.{{}}',
                f'coarse_adapters.stride_{stride}.{{}}',
            ),
            _scene_rule(
                f'level_encoders.{level}.0.downsample.{{}}',
                f'encoders.stride_{stride}.0.shortcut.{{}}',
            ),
            _scene_rule(
                f'level_encoders.{level}.{{}}', f'encoders.stride_{stride}.{{}}'
            ),
        )
    ),
    *(
        _scene_rule(f'level_decoders.{level}.{{}}', f'decoders.stride_{stride}.{{}}')
        for level, stride in enumerate(_DECODER_STRIDES)
    ),
    _scene_rule('level_occupancy_heads.1.block.{}', 'occupancy_heads.stride_2.{}'),
    *(
        _scene_rule(f'{theirs}.{level}.{{}}', f'{ours}.stride_{stride}.{{}}')
        for theirs, ours in (
            ('level_occupancy_heads', 'occupancy_heads'),
            ('level_segm_embeddings', 'mask_embeddings'),
            ('level_segm_query_projection', 'query_projections'),
        )
        for level, stride in enumerate((1, 2, 4))
    ),
    _scene_rule('geometry_head.{}', 'tudf_head.{}'),
)

RULES = BACKBONE_RULES + PIXEL_DECODER_RULES + PANOPTIC_HEAD_RULES + FRUSTUM_RULES


def _match(pattern: str, name: str) -> tuple[str, ...] | None:
    parts = pattern.split('{}')
    regex = re.escape(parts[0])
    for i, part in enumerate(parts[1:]):
        last = i == len(parts) - 2 and not part
        regex += (r'(.+)' if last else r'([^.]+)') + re.escape(part)
    found = re.fullmatch(regex, name)
    return found.groups() if found else None


@dataclass(frozen=True)
class ConvertedState:
    """Result of a conversion.

    Attributes:
        state: The tensors under their new names.
        dropped: Old name -> why nothing reads it.
        unknown: Old names that no rule fits.
    """

    state: dict[str, Tensor]
    dropped: dict[str, str]
    unknown: tuple[str, ...]


def to_ours(state: Mapping[str, Tensor]) -> ConvertedState:
    """Translate published names and layouts into ours.

    Args:
        state: Published state dict without the prefix ``model.``.
    """
    converted, dropped, unknown = {}, {}, []
    for name, tensor in state.items():
        for rule in RULES:
            parts = _match(rule.published, name)
            if parts is None:
                continue
            if isinstance(rule, Drop):
                dropped[name] = rule.reason
            else:
                layout = rule.layout
                converted[rule.ours.format(*parts)] = (
                    layout.to_ours(tensor) if layout else tensor
                )
            break
        else:
            unknown.append(name)
    return ConvertedState(converted, dropped, tuple(unknown))


def to_published(state: Mapping[str, Tensor]) -> ConvertedState:
    """Translate our names and layouts into the published ones."""
    converted, unknown = {}, []
    renames = [rule for rule in RULES if isinstance(rule, Rename)]
    for name, tensor in state.items():
        for rule in renames:
            parts = _match(rule.ours, name)
            if parts is not None:
                layout = rule.layout
                converted[rule.published.format(*parts)] = (
                    layout.to_published(tensor) if layout else tensor
                )
                break
        else:
            unknown.append(name)
    return ConvertedState(converted, {}, tuple(unknown))
