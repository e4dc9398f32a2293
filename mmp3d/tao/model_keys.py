"""What the keys below ``model`` become."""

from __future__ import annotations

from mmp3d.tao.draft import Draft, Key, dead, fixed, joined, mapped, moved
from mmp3d.tao.spec import SpecError, Value

_HEAD = 'model.panoptic_head'
_BRANCH = 'model.frustum_branch'
_CRITERION = f'{_HEAD}.criterion'
# Occupancy features that every lifted voxel carries: classes and three numbers.
_LIFTED = 3


def decoder_layers(draft: Draft, value: Value) -> None:
    """The published count includes the prediction before the first layer."""
    if value < 2:
        raise SpecError(f'must be 2 or more: 1 prediction and the layers, got {value}')
    draft.set(f'{_HEAD}.decoder.num_layers', value - 1)


def widths(draft: Draft, value: Value) -> None:
    """Give every part that reads a map the channels of the part that makes it."""
    prefix = 'model.sem_seg_head'
    channels, hidden = (
        draft[f'{prefix}.convs_dim'],
        draft['model.mask_former.hidden_dim'],
    )
    masks, depth = draft[f'{prefix}.mask_dim'], draft[f'{prefix}.depth_dim']
    if channels != hidden:
        raise SpecError(
            f'{prefix}.convs_dim={channels} and model.mask_former.hidden_dim={hidden} '
            'must be equal: queries and memories have one width here'
        )
    draft.set('model.pixel_decoder.channels', channels)
    draft.set('model.pixel_decoder.mask_channels', masks)
    draft.set(f'{_HEAD}.decoder.channels', hidden)
    draft.set(f'{_HEAD}.decoder.mask_channels', masks)
    draft.set(f'{_HEAD}.depth_projector.channels', hidden)
    if draft.stage == 1:
        return
    lifted = draft['model.sem_seg_head.num_classes'] + _LIFTED
    classes = draft['model.sem_seg_head.num_classes']
    draft.set(f'{_BRANCH}.feature_projector.channels', depth)
    draft.set(f'{_BRANCH}.decoder.query_dim', hidden)
    draft.set(f'{_BRANCH}.decoder.in_channels', (2, masks + depth, classes, lifted))
    multi_scale(draft, draft['model.frustum3d.use_multi_scale'])


def multi_scale(draft: Draft, value: Value) -> None:
    """Decode coarse maps too, or only the fine one."""
    if value and draft['dataset.name'] == 'matterport':
        raise SpecError(
            'not supported here: use_multi_scale=True with dataset.name=matterport, '
            'whose published model has no coarse inputs; set it to False'
        )
    lifted = draft['model.sem_seg_head.num_classes'] + _LIFTED
    coarse = draft['model.sem_seg_head.convs_dim'] + lifted if value else None
    draft.set(f'{_BRANCH}.decoder.coarse_channels', coarse)


def score_threshold(draft: Draft, value: Value) -> None:
    """One threshold serves the image and the volume."""
    draft.set(f'{_HEAD}.object_mask_threshold', value)
    if draft.stage == 2:
        draft.set(f'{_BRANCH}.object_mask_threshold', value)


def heads(draft: Draft, value: Value) -> None:
    """One number of attention heads for both decoders."""
    draft.set('model.pixel_decoder.num_heads', value)
    draft.set(f'{_HEAD}.decoder.num_heads', value)


def volume_size(draft: Draft, value: Value) -> None:
    """Set the grid, once, in the dataset."""
    names = ('model.frustum3d.grid_dimensions', 'model.frustum3d.frustum_dims')
    dims = {draft[name] for name in names}
    if len(dims) > 1:
        raise SpecError(f'{names[0]} and {names[1]} must be equal, got {sorted(dims)}')
    draft.set_datasets('grid.dims', (value, value, value))


def voxel_size(draft: Draft, value: Value) -> None:
    """Set the voxel size, once, in the dataset."""
    draft.set_datasets('grid.voxel_size', value)


def predicted_iso(draft: Draft, value: Value) -> None:
    """One iso value serves prediction and truth: the dataset's."""
    shared = draft['dataset.iso_value']
    if value == shared:
        draft.note('as dataset.iso_value')
    else:
        draft.note(
            f'dataset.iso_value = {shared} serves prediction and truth; {value} is '
            'not used'
        )


def pretrained_backbone(draft: Draft, value: Value) -> None:
    """Start stage 1 from converted VGGT weights, unless a checkpoint is given."""
    better = (
        'train.checkpoint_2d',
        'train.checkpoint_3d',
        'train.resume_training_checkpoint_path',
    )
    if not value:
        draft.note('random weights')
    elif draft.action != 'train' or any(draft[name] for name in better):
        draft.note('not read: the checkpoint holds the backbone')
    else:
        missing = ['backbone.token_pyramid', 'pixel_decoder', 'panoptic_head']
        draft.set('load_from', value)
        draft.allow_missing(missing)


_SSH, _MF, _F3D = 'model.sem_seg_head', 'model.mask_former', 'model.frustum3d'

MODEL_KEYS: tuple[Key, ...] = (
    mapped(
        'model.mode',
        'panoptic',
        "only 'panoptic', as in NVIDIA's implementation",
        lambda draft, value: _panoptic_only(draft, value),
    ),
    mapped(
        'model.object_mask_threshold',
        0.4,
        '`object_mask_threshold` of `panoptic_head` and `frustum_branch`',
        score_threshold,
    ),
    moved('model.overlap_threshold', 0.5, f'{_HEAD}.overlap_threshold'),
    dead('model.test_topk_per_image', 100, 'stored, never read'),
    fixed(
        'model.backbone.backbone_type',
        'vggt',
        'vggt',
        'the only backbone of the published model',
    ),
    mapped(
        'model.backbone.pretrained_model_path',
        '',
        '`load_from` of stage 1: VGGT weights converted by convert_checkpoint.py',
        pretrained_backbone,
    ),
    fixed(
        f'{_SSH}.common_stride',
        4,
        4,
        "masks have the resolution of the pixel decoder's finest map",
    ),
    moved(f'{_SSH}.transformer_enc_layers', 6, 'model.pixel_decoder.num_layers'),
    mapped(
        f'{_SSH}.convs_dim',
        256,
        '`channels` of `pixel_decoder`; must equal `hidden_dim`',
        widths,
    ),
    mapped(
        f'{_SSH}.mask_dim',
        256,
        '`mask_channels` of `pixel_decoder` and decoder',
        joined(f'{_SSH}.convs_dim', widths),
    ),
    mapped(
        f'{_SSH}.depth_dim',
        256,
        f'`{_BRANCH}.feature_projector.channels`',
        joined(f'{_SSH}.convs_dim', widths),
        stage=2,
    ),
    dead(f'{_SSH}.ignore_value', 255),
    fixed(
        f'{_SSH}.deformable_transformer_encoder_in_features',
        ['res3', 'res4', 'res5'],
        ['res3', 'res4', 'res5'],
        'the three coarser maps',
    ),
    fixed(
        f'{_SSH}.num_classes',
        13,
        13,
        'the label spaces have 12 classes and void; other classes need a LabelSpace '
        'in mmp3d/structures/label_space.py',
    ),
    fixed(f'{_SSH}.norm', 'GN', 'GN', 'the pixel decoder has group norms'),
    dead(f'{_SSH}.in_features', ['res2', 'res3', 'res4', 'res5']),
    moved(f'{_MF}.dropout', 0.0, 'model.pixel_decoder.dropout'),
    mapped(f'{_MF}.nheads', 8, '`num_heads` of `pixel_decoder` and decoder', heads),
    moved(f'{_MF}.num_object_queries', 100, f'{_HEAD}.decoder.num_queries'),
    mapped(
        f'{_MF}.hidden_dim',
        256,
        '`channels` of decoder and depth projector, `query_dim` of the frustum decoder',
        joined(f'{_SSH}.convs_dim', widths),
    ),
    moved(
        f'{_MF}.transformer_dim_feedforward',
        1024,
        'model.pixel_decoder.feedforward_channels',
    ),
    moved(f'{_MF}.dim_feedforward', 2048, f'{_HEAD}.decoder.feedforward_channels'),
    mapped(
        f'{_MF}.dec_layers',
        10,
        f'`{_HEAD}.decoder.num_layers`, less one: the first prediction has no layer',
        decoder_layers,
    ),
    fixed(f'{_MF}.pre_norm', False, False, 'norms come after the attentions'),
    moved(f'{_MF}.class_weight', 2.0, f'{_CRITERION}.class_weight'),
    moved(f'{_MF}.dice_weight', 5.0, f'{_CRITERION}.dice_weight'),
    moved(f'{_MF}.mask_weight', 5.0, f'{_CRITERION}.mask_weight'),
    moved(f'{_MF}.depth_weight', 5.0, f'{_CRITERION}.depth_weight'),
    moved(f'{_MF}.mp_occ_weight', 5.0, f'{_CRITERION}.plane_occupancy_weight'),
    moved(f'{_MF}.train_num_points', 12544, f'{_CRITERION}.num_points'),
    moved(f'{_MF}.oversample_ratio', 3.0, f'{_CRITERION}.oversample_ratio'),
    moved(
        f'{_MF}.importance_sample_ratio', 0.75, f'{_CRITERION}.importance_sample_ratio'
    ),
    fixed(f'{_MF}.deep_supervision', True, True, 'every decoder layer is supervised'),
    moved(f'{_MF}.no_object_weight', 0.1, f'{_CRITERION}.no_object_weight'),
    mapped(
        f'{_MF}.size_divisibility',
        32,
        '`model.data_preprocessor.pad_size_divisor`',
        lambda draft, value: padding(draft, value),
    ),
    moved(f'{_F3D}.truncation', 3.0, f'{_BRANCH}.decoder.truncation', stage=2),
    mapped(
        f'{_F3D}.iso_recon_value',
        2.0,
        'nothing of its own: `dataset.iso_value` serves prediction and truth',
        predicted_iso,
        stage=2,
    ),
    moved(f'{_F3D}.panoptic_weight', 25.0, f'{_BRANCH}.criterion.mask_weight', stage=2),
    moved(
        f'{_F3D}.completion_weights',
        [50.0, 25.0, 10.0],
        f'{_BRANCH}.criterion.occupancy_weights',
        stage=2,
    ),
    moved(f'{_F3D}.surface_weight', 5.0, f'{_BRANCH}.criterion.tudf_weight', stage=2),
    moved(
        f'{_F3D}.unet_output_channels',
        16,
        f'{_BRANCH}.decoder.output_channels',
        stage=2,
    ),
    moved(f'{_F3D}.unet_features', 16, f'{_BRANCH}.decoder.base_channels', stage=2),
    mapped(
        f'{_F3D}.use_multi_scale',
        False,
        f'`{_BRANCH}.decoder.coarse_channels`, `None` if False',
        multi_scale,
        stage=2,
    ),
    mapped(
        f'{_F3D}.grid_dimensions',
        256,
        '`grid.dims` of the datasets; must equal `frustum_dims`',
        volume_size,
    ),
    mapped(
        f'{_F3D}.frustum_dims',
        256,
        '`grid.dims` of the datasets',
        joined(f'{_F3D}.grid_dimensions', volume_size),
    ),
    dead(f'{_F3D}.signed_channel', 3),
    mapped(
        'model.projection.voxel_size',
        0.03,
        '`grid.voxel_size` of the datasets, metres',
        voxel_size,
    ),
    fixed(
        'model.projection.sign_channel',
        True,
        True,
        'the lifting writes sign and distance',
        stage=2,
    ),
    fixed(
        'model.projection.depth_feature_dim',
        256,
        256,
        'the width of the published depth head',
    ),
)


def _panoptic_only(draft: Draft, value: Value) -> None:
    if value not in ('panoptic', 'instance', 'semantic'):
        raise SpecError(f"must be 'panoptic', got {value!r}")
    if value != 'panoptic':
        raise SpecError(
            f"not supported here: {value!r}; a panoptic result holds both (NVIDIA's "
            'implementation refuses it too)'
        )
    draft.note('as it is here')


def padding(draft: Draft, value: Value) -> None:
    """Pad in one place; grey if TAO's dataset pads, black if its model does."""
    by_dataset = int(draft['dataset.augmentation.size_divisibility'])
    by_model = int(draft['model.mask_former.size_divisibility'])
    draft.set('model.data_preprocessor.pad_size_divisor', max(by_dataset, by_model, 1))
    draft.set('model.data_preprocessor.pad_value', 128.0 if by_dataset > 1 else 0.0)
