"""What the keys below ``dataset`` become."""

from __future__ import annotations

import os
from pathlib import Path

from mmp3d.fileio import check_label_map
from mmp3d.structures import LabelSpace
from mmp3d.tao.draft import (
    SPLITS,
    Draft,
    Handler,
    Key,
    dead,
    fixed,
    joined,
    mapped,
    moved,
    says,
)
from mmp3d.tao.model_keys import padding
from mmp3d.tao.spec import SpecError, Value

# Name in a spec -> name in our configs.
NAMES = {'front3d': 'front3d', 'matterport': 'matterport3d'}
_AUG = 'dataset.augmentation'
# Transforms that derive targets; what changes geometry comes before them.
_DERIVING = ('MakeInstanceTargets', 'PlaneOccupancyTarget', 'PackReconstructionInputs')
_PLANES = ('MakePlaneDepth', 'MakePlaneRoomMask')


def dataset_root(draft: Draft, split: str) -> Path | None:
    """Folder that holds ``data/<scene>``; ``None`` if the spec names none.

    The documentation's sample names ``data`` itself, the published loader its parent.
    """
    value = draft[f'dataset.{split}.base_dir']
    if not value:
        return None
    root = Path(os.path.abspath(os.path.expanduser(value)))
    if root.name == 'data' and not (root / 'data').is_dir():
        return root.parent
    return root


def _base_dir(split: str) -> Handler:
    def apply(draft: Draft, value: Value) -> None:
        root = dataset_root(draft, split)
        if root is None:
            draft.note('not given')
            return
        draft.set(f'{split}_dataloader.dataset.data_root', str(root))
        if root != Path(os.path.abspath(os.path.expanduser(value))):
            draft.note(f'{value} is the data folder itself; its parent is taken')

    return apply


def _json_path(split: str) -> Handler:
    def apply(draft: Draft, value: Value) -> None:
        if not value:
            draft.note('not given')
            return
        path = os.path.abspath(os.path.expanduser(value))
        draft.set(f'{split}_dataloader.dataset.ann_file', path)

    return apply


def _num_workers(split: str) -> Handler:
    def apply(draft: Draft, value: Value) -> None:
        draft.set(f'{split}_dataloader.num_workers', value)
        draft.set(f'{split}_dataloader.persistent_workers', value > 0)

    return apply


def dataset_name(draft: Draft, value: Value) -> None:
    """Was read when the base was chosen."""
    kind = draft.config['train_dataloader']['dataset']['type']
    draft.note(f'dataset type {kind}')


def label_map(draft: Draft, value: Value) -> None:
    """Compare a label map with the label space, which is built in."""
    name = draft.config['train_dataloader']['dataset'].get('label_space', 'front3d')
    if not value:
        draft.note(f'label space {name!r} is built in')
    elif Path(value).is_file():
        check_label_map(value, LabelSpace.named(name))
        draft.note(f'agrees with the label space {name!r}')
    else:
        draft.note(f'label space {name!r} is built in; {value} is not there to compare')


def frustum_mask(draft: Draft, value: Value) -> None:
    """Read the mask, or compute it from the camera where there is none."""
    if draft['dataset.name'] != 'front3d':
        draft.note('not read: each image has its own camera and mask')
        return
    if not draft.is_given('dataset.frustum_mask_path') or not value:
        draft.note('computed from the camera and the grid')
        return
    for split in SPLITS:
        root = dataset_root(draft, split)
        below = root / value if root is not None else Path(value)
        path = below if below.is_file() or not Path(value).is_file() else Path(value)
        place = f'{split}_dataloader.dataset.frustum_mask_file'
        draft.set(place, os.path.abspath(path))


def iso_value(draft: Draft, value: Value) -> None:
    """Set the surface threshold of PRQ."""
    _set_metric(draft, 'iso', value)


def downsample_factor(draft: Draft, value: Value) -> None:
    """Set the resolution at which PRQ is computed."""
    _set_metric(draft, 'downsample_factor', value)


def _set_metric(draft: Draft, name: str, value: Value) -> None:
    for evaluator in ('val_evaluator', 'test_evaluator'):
        for metric in draft.config[evaluator]:
            if metric['type'] == 'PanopticReconstructionQuality':
                metric[name] = value
                draft.note(f'PanopticReconstructionQuality.{name} = {value!r}')


def target_size(draft: Draft, value: Value) -> None:
    """Set the size at which images are loaded."""
    width, height = _pair('dataset.target_size', value)
    draft.set_datasets('target_size', (height, width))


def plane_size(draft: Draft, value: Value) -> None:
    """Set the reduced plane, in the model and in its targets."""
    width, height = _pair(
        'dataset.reduced_target_size', draft['dataset.reduced_target_size']
    )
    depth = tuple(_pair('dataset.depth_size', draft['dataset.depth_size']))
    if depth != (height, width):
        raise SpecError(
            f'dataset.depth_size={list(depth)} (H, W) must be the size of '
            f'dataset.reduced_target_size={[width, height]} (W, H): there is one plane'
        )
    draft.set('model.panoptic_head.plane_occupancy.plane_size', (height, width))
    for kind in (*_PLANES, 'PlaneOccupancyTarget'):
        draft.set_steps(kind, 'plane_size', (height, width))


def _pair(name: str, value: Value) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2 or min(value) < 1:
        raise SpecError(f'{name} must be two lengths in pixels, got {value!r}')
    return int(value[0]), int(value[1])


def depth_range(draft: Draft, value: Value) -> None:
    """Set the depths that the grid covers."""
    near, far = draft['dataset.depth_min'], draft['dataset.depth_max']
    draft.set_datasets('grid.depth_range', (near, far))
    for step in draft.steps('LoadDepthMap'):
        if step.get('valid_range') is not None:
            step['valid_range'] = (near, far)
            draft.note(f'LoadDepthMap.valid_range = {(near, far)}')


def occupancy_bands(draft: Draft, value: Value) -> None:
    """Set the bands of occupied voxels, of the volumes and of the planes."""
    coarse, finest = (
        draft['dataset.occ_truncation_lvl'],
        draft['dataset.truncation_range'],
    )
    if len(coarse) != 2 or len(finest) != 2:
        raise SpecError(
            'dataset.occ_truncation_lvl and dataset.truncation_range must have two '
            f'numbers each, got {coarse} and {finest}'
        )
    if draft.stage == 2:
        bands = tuple(float(n) for n in (*coarse, finest[1]))
        draft.set('model.frustum_branch.criterion.occupancy_bands', bands)
    draft.set_steps('PlaneOccupancyTarget', 'band', float(finest[1]))


def plane_occupancy(draft: Draft, value: Value) -> None:
    """The published model always has it."""
    if not value:
        raise SpecError(
            'not supported here: False; the published model always has the head, and '
            "False ends NVIDIA's training with an error"
        )
    draft.note('as it is here')


def stage_of(draft: Draft, value: Value) -> None:
    """Was read when the base was chosen."""
    draft.note(f'stage {draft.stage}')


def resize(split_names: tuple[str, ...], key: str) -> Handler:
    """Make a handler that resizes the images of some splits where that is needed."""

    def apply(draft: Draft, value: Value) -> None:
        edges = draft[f'{_AUG}.{key}_min_size']
        edges = [edges] if isinstance(edges, int) else edges
        longest = draft[f'{_AUG}.{key}_max_size']
        width, height = _pair('dataset.target_size', draft['dataset.target_size'])
        if list(edges) == [min(width, height)] and longest >= max(width, height):
            draft.note('images have this size already')
            return
        step = dict(
            type='ShortestEdgeResize',
            short_edges=tuple(int(edge) for edge in edges),
            max_long_edge=int(longest),
        )
        if key == 'train' and len(edges) > 1:
            # The images of a batch share a size.
            step['samples_per_draw'] = draft['dataset.train.batch_size']
        for split in split_names:
            draft.insert_step(split, _before_targets(draft), step)

    return apply


def _before_targets(draft: Draft) -> tuple[str, ...]:
    # A crop changes what the reduced plane shows, a resize alone does not.
    return (*_PLANES, *_DERIVING) if draft[f'{_AUG}.enable_crop'] else _DERIVING


def crop(draft: Draft, value: Value) -> None:
    """Cut windows out of the training images; camera and volumes follow."""
    if not draft[f'{_AUG}.enable_crop']:
        draft.note('off')
        return
    size = draft[f'{_AUG}.crop_size']
    step = dict(
        type='RandomCropReconstruction',
        crop_size=_pair(f'{_AUG}.crop_size', size),
        single_category_max_area=draft[f'{_AUG}.single_category_max_area'],
    )
    draft.insert_step('train', _before_targets(draft), step)


def colour(draft: Draft, value: Value) -> None:
    """Distort colours in training."""
    if value:
        draft.insert_step('train', _DERIVING, dict(type='DistortColours'))
    else:
        draft.note('off')


def flip(draft: Draft, value: Value) -> None:
    """Mirror images and volumes in training."""
    direction = str(draft[f'{_AUG}.random_flip'] or '')
    if direction in ('', 'none', 'None', 'False'):
        draft.note('off')
    elif direction in ('horizontal', 'vertical'):
        step = dict(
            type='RandomFlipReconstruction', prob=draft[f'{_AUG}.random_flip_prob']
        )
        if direction == 'vertical':
            step['direction'] = direction
        draft.insert_step('train', ('MakePlaneDepth', *_DERIVING), step)
    else:
        raise SpecError(f'must be horizontal, vertical or empty, got {direction!r}')


def _split_keys(split: str) -> tuple[Key, ...]:
    loader = f'{split}_dataloader'
    return (
        mapped(
            f'dataset.{split}.base_dir',
            '',
            f'`{loader}.dataset.data_root`: the folder that holds `data/`',
            _base_dir(split),
        ),
        mapped(
            f'dataset.{split}.json_path',
            '',
            f'`{loader}.dataset.ann_file`',
            _json_path(split),
        ),
        moved(f'dataset.{split}.batch_size', 1, f'{loader}.batch_size'),
        mapped(
            f'dataset.{split}.num_workers',
            1,
            f'`{loader}.num_workers`, `persistent_workers`',
            _num_workers(split),
        ),
    )


DATASET_KEYS: tuple[Key, ...] = (
    mapped(
        'dataset.name',
        'front3d',
        '`Front3DDataset` or `Matterport3DDataset`; synthetic_hospital and '
        "synthetic_warehouse are refused, as in NVIDIA's implementation",
        dataset_name,
    ),
    mapped(
        'dataset.enable_3d', False, 'False: the stage-1 config, True: stage 2', stage_of
    ),
    *_split_keys('train'),
    *_split_keys('val'),
    *_split_keys('test'),
    dead('dataset.workers', 8, '`num_workers` of each split decides'),
    dead('dataset.pin_memory', True, 'the presence of a GPU decides'),
    mapped(
        'dataset.contiguous_id',
        False,
        'always True: labels are those of the label space',
        says('labels are contiguous'),
    ),
    mapped(
        'dataset.label_map',
        '',
        'compared with the `LabelSpace`, which is built in',
        label_map,
    ),
    mapped(
        'dataset.downsample_factor',
        1,
        '`PanopticReconstructionQuality.downsample_factor`',
        downsample_factor,
        stage=2,
    ),
    mapped(
        'dataset.iso_value',
        1.0,
        '`PanopticReconstructionQuality.iso`, voxels',
        iso_value,
        stage=2,
    ),
    fixed('dataset.ignore_label', 255, 255, 'void is 0 inside, whatever files hold'),
    mapped(
        'dataset.min_instance_pixels',
        200,
        '`MakeInstanceTargets.min_instance_pixels`',
        lambda draft, value: draft.set_steps(
            'MakeInstanceTargets', 'min_instance_pixels', value
        ),
    ),
    fixed('dataset.img_format', 'RGB', 'RGB', 'images are RGB everywhere'),
    mapped(
        'dataset.target_size',
        [320, 240],
        '`target_size` of the datasets, here (height, width)',
        target_size,
    ),
    mapped(
        'dataset.reduced_target_size',
        [160, 120],
        '`plane_size` of model and targets, here (height, width)',
        plane_size,
    ),
    mapped(
        'dataset.depth_size',
        [120, 160],
        'must be `reduced_target_size`: there is one plane',
        joined('dataset.reduced_target_size', plane_size),
    ),
    dead('dataset.depth_bound', False),
    mapped('dataset.depth_min', 0.4, '`grid.depth_range[0]`, metres', depth_range),
    mapped(
        'dataset.depth_max',
        6.0,
        '`grid.depth_range[1]`, metres',
        joined('dataset.depth_min', depth_range),
    ),
    mapped(
        'dataset.frustum_mask_path',
        'meta/frustum_mask.npz',
        '`frustum_mask_file` of the datasets; computed from the camera if it is empty '
        'or absent',
        frustum_mask,
    ),
    mapped(
        'dataset.occ_truncation_lvl',
        [8.0, 6.0],
        '`occupancy_bands` of strides 4 and 2',
        joined('dataset.truncation_range', occupancy_bands),
        stage=2,
    ),
    mapped(
        'dataset.truncation_range',
        [0.0, 12.0],
        'second number: `occupancy_bands` of stride 1, `PlaneOccupancyTarget.band`; '
        'the first has no effect there either',
        occupancy_bands,
    ),
    mapped('dataset.enable_mp_occ', True, 'only True', plane_occupancy),
    moved('dataset.depth_scale', 25.0, 'model.panoptic_head.max_depth'),
    fixed('dataset.num_thing_classes', 9, 9, 'the label spaces say what a thing is'),
    mapped(
        f'{_AUG}.train_min_size',
        [448],
        '`ShortestEdgeResize.short_edges` in training',
        resize(('train',), 'train'),
    ),
    mapped(
        f'{_AUG}.train_max_size',
        768,
        '`ShortestEdgeResize.max_long_edge` in training',
        joined(f'{_AUG}.train_min_size', resize(('train',), 'train')),
    ),
    dead(f'{_AUG}.train_crop_size', [240, 240]),
    mapped(
        f'{_AUG}.test_min_size',
        240,
        '`ShortestEdgeResize.short_edges` in validation and test',
        resize(('val', 'test'), 'test'),
    ),
    mapped(
        f'{_AUG}.test_max_size',
        960,
        '`ShortestEdgeResize.max_long_edge` in validation and test',
        joined(f'{_AUG}.test_min_size', resize(('val', 'test'), 'test')),
    ),
    mapped(f'{_AUG}.color_aug_ssd', False, '`DistortColours` in training', colour),
    mapped(
        f'{_AUG}.enable_crop',
        False,
        '`RandomCropReconstruction` in training, which takes camera and volumes along',
        crop,
    ),
    mapped(
        f'{_AUG}.crop_size',
        [240, 240],
        '`RandomCropReconstruction.crop_size`, (height, width)',
        joined(f'{_AUG}.enable_crop', crop),
    ),
    mapped(
        f'{_AUG}.single_category_max_area',
        1.0,
        "`RandomCropReconstruction.single_category_max_area`; in NVIDIA's "
        'implementation it has no effect',
        joined(f'{_AUG}.enable_crop', crop),
    ),
    mapped(
        f'{_AUG}.random_flip',
        '',
        '`RandomFlipReconstruction`, which takes camera and volumes along: horizontal '
        'or vertical',
        flip,
    ),
    mapped(
        f'{_AUG}.random_flip_prob',
        0.5,
        '`RandomFlipReconstruction.prob`',
        joined(f'{_AUG}.random_flip', flip),
    ),
    mapped(
        f'{_AUG}.size_divisibility',
        -1.0,
        '`pad_size_divisor` and `pad_value` of the preprocessor: grey above 1, else '
        'black',
        joined('model.mask_former.size_divisibility', padding),
    ),
    fixed(
        f'{_AUG}.gen_aug_weight',
        0.0,
        0.0,
        'the generated images of its augmentation are not published',
    ),
)
