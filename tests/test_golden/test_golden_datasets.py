"""Samples of the data set: files on disk to targets at every level."""

from __future__ import annotations

from pathlib import Path

import golden
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mmp3d.datasets import Front3DDataset
from mmp3d.evaluation.functional import volume_ground_truth
from mmp3d.fileio import (
    IndexRecord,
    read_index,
    read_npz,
    write_exr,
    write_image,
    write_index,
    write_npz,
)
from mmp3d.geometry import frustum_mask
from mmp3d.geometry.distance_field import (
    coarse_occupancy,
    coarse_weights,
    instance_masks,
    instance_masks_at_stride,
)
from mmp3d.models.data_preprocessors import ReconstructionDataPreprocessor
from mmp3d.structures import FRONT3D, FrustumGrid, PanopticReconstructionSample

_DATA = golden.FOLDER.parent / 'data' / 'uni3d_meta'
_needs_data = pytest.mark.skipif(
    not _DATA.is_dir(), reason=f'no published meta data in {_DATA}'
)


def _write_files(root: Path, inputs: dict[str, np.ndarray]) -> None:
    folder = root / 'data' / 'scene'
    height, width = inputs['depth'].shape
    record = IndexRecord('scene', '0000', height, width)
    write_index(root / 'meta' / 'train.json', [record])
    write_image(folder / 'rgb_0000.png', inputs['rgb'])
    write_exr(folder / 'depth_0000.exr', inputs['depth'])
    write_npz(folder / 'segmap_0000.mapped.npz', data=inputs['segmap'])
    write_npz(folder / 'geometry_0000.npz', data=inputs['geometry'])
    write_npz(folder / 'segmentation_0000.mapped.npz', data=inputs['segmentation'])
    write_npz(folder / 'weighting_0000.npz', data=inputs['weighting'])
    write_npz(root / 'meta' / 'frustum_mask.npz', mask=inputs['frustum_mask'])


def _dataset(root: Path, fixture: golden.Golden) -> Front3DDataset:
    meta = fixture.meta
    width, height = meta['target_size_wh']
    resize = {
        'type': 'ShortestEdgeResize',
        'short_edges': (meta['short_edge'],),
        'max_long_edge': meta['max_edge'],
    }
    return Front3DDataset(
        data_root=str(root),
        ann_file='meta/train.json',
        grid={
            'dims': fixture.inputs['geometry'].shape,
            'truncation': meta['default_truncation'],
        },
        target_size=(height, width),
        frustum_mask_file='meta/frustum_mask.npz',
        pipeline=[
            {'type': 'LoadReconstructionImage'},
            {'type': 'LoadDepthMap'},
            {'type': 'LoadPanopticMaps'},
            {'type': 'LoadVolumes'},
            {'type': 'LoadFrustumMask'},
            {'type': 'MakePlaneDepth', 'plane_size': tuple(meta['depth_size_hw'])},
            resize,
            {
                'type': 'MakeInstanceTargets',
                'min_instance_pixels': meta['min_instance_pixels'],
            },
            {'type': 'PackReconstructionInputs'},
        ],
    )


def _equal(ours: torch.Tensor, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(ours.numpy(), expected)


def _close(ours: torch.Tensor, expected: np.ndarray) -> None:
    np.testing.assert_allclose(ours.numpy(), expected, rtol=0, atol=1e-6)


def _pad(maps: torch.Tensor, size: tuple[int, int], value: float = 0) -> torch.Tensor:
    missing = (0, size[1] - maps.shape[-1], 0, size[0] - maps.shape[-2])
    return F.pad(maps, missing, value=value)


@pytest.mark.parametrize('path', golden.golden_files('I_dataset_case*.npz'))
def test_samples_equal_the_recorded_ones(path, tmp_path):
    fixture = golden.load(path)
    _write_files(tmp_path, fixture.inputs)
    packed = _dataset(tmp_path, fixture)[0]
    sample = packed['data_samples']
    _check_image(fixture, packed)
    _check_instances(fixture, sample)
    _check_volumes(fixture, sample)
    if 'occupancy_64' in fixture.outputs:
        _check_coarse_targets(fixture, sample)
    if 'panoptic_gt' in fixture.outputs:
        _check_evaluation_volume(fixture, sample)


def _check_image(fixture: golden.Golden, packed: dict) -> None:
    meta, out = fixture.meta, fixture.outputs
    preprocessor = ReconstructionDataPreprocessor(
        pad_size_divisor=meta['size_divisibility'], pad_value=128
    )
    batch = preprocessor(
        {
            'inputs': {key: [value] for key, value in packed['inputs'].items()},
            'data_samples': [packed['data_samples']],
        }
    )['inputs']
    _equal((batch.images[0, 0] * 255).round().to(torch.uint8), out['image'])
    assert batch.image_sizes[0] == tuple(out['nopad_image_shape'])
    _equal(batch.frustum_mask[0], out['frustum_mask'])
    # Ours follows the resize, the recorded one is that of the files.
    height, width = out['raw_depth'].shape
    new_height, new_width = batch.image_sizes[0]
    K = batch.K[0, 0].numpy().copy()
    K[0] *= width / new_width
    K[1] *= height / new_height
    np.testing.assert_allclose(K, out['intrinsic'][:3, :3], rtol=0, atol=1e-6)


def _check_instances(
    fixture: golden.Golden, sample: PanopticReconstructionSample
) -> None:
    meta, out = fixture.meta, fixture.outputs
    size = out['image'].shape[1:]
    semantic = sample.gt_panoptic_seg.semantic[0]
    as_recorded = semantic.masked_fill(semantic == 0, meta['ignore_label'])
    _equal(_pad(as_recorded, size, meta['ignore_label']), out['sem_seg'])
    _equal(_pad(sample.gt_depth_map.depth[0], size), out['depth'])
    _equal(sample.gt_plane_depth.depth[0], out['transformed_depth'])
    if sample.img_shape == sample.ori_shape:
        raw = out['raw_sem_seg']
        _equal(semantic, np.where(raw == FRONT3D.no_object, 0, raw))
        _equal(sample.gt_panoptic_seg.instance_ids[0], out['raw_inst_seg'])
        _equal((sample.gt_depth_map.depth[0] * 256).int(), out['raw_depth'])
    instances = sample.gt_instances
    _equal(_pad(instances.masks, size), out['instances/gt_masks'])
    _equal(instances.labels, out['instances/gt_classes'])
    things = instances.instance_ids > 0
    _equal(instances.instance_ids[things], out['inst_ids'])
    _equal(instances.labels[~things], out['stuff_ids'])
    assert sample.loss_weight == out['instances/loss_weight']


def _check_volumes(
    fixture: golden.Golden, sample: PanopticReconstructionSample
) -> None:
    out, volume = fixture.outputs, sample.gt_volume
    _close(volume.tudf, out['geometry'])
    threshold = fixture.meta['truncation_range'][1]
    occupied = coarse_occupancy(volume.tudf[None], 1, threshold)[0]
    _equal(occupied, out['mp_occ_256'].astype(bool))


def _check_coarse_targets(
    fixture: golden.Golden, sample: PanopticReconstructionSample
) -> None:
    meta, out, volume = fixture.meta, fixture.outputs, sample.gt_volume
    masks = instance_masks(
        volume.instance_ids,
        volume.semantic,
        sample.gt_instances.instance_ids,
        sample.gt_instances.labels,
    )
    coarse, middle = meta['occ_truncation_lvl']
    thresholds = {1: meta['truncation_range'][1], 2: middle, 4: coarse}
    for stride, threshold in thresholds.items():
        level = 256 // stride
        occupied = coarse_occupancy(volume.tudf[None], stride, threshold)[0]
        _equal(occupied, out[f'occupancy_{level}'].astype(bool))
        weights = coarse_weights(volume.weights[None], stride)[0]
        _close(weights, out[f'weighting3d_{level}'])
        pooled = instance_masks_at_stride(masks, stride)
        _equal(pooled, out[f'instances/gt_masks_3d_{level}'])


def _check_evaluation_volume(
    fixture: golden.Golden, sample: PanopticReconstructionSample
) -> None:
    out, volume = fixture.outputs, sample.gt_volume
    ids, labels = volume_ground_truth(
        volume.semantic.numpy(), volume.instance_ids.numpy(), FRONT3D
    )
    np.testing.assert_array_equal(ids, out['panoptic_gt'])
    assert labels == dict(out['panoptic_gt_mapping'].tolist())


@_needs_data
@pytest.mark.parametrize('name', ['front3d', 'matterport'])
def test_the_published_index_is_read(name):
    records = read_index(_DATA / f'{name}_val_3d_first200.json')
    assert len(records) == 200
    assert {(r.height, r.width) for r in records} == {(240, 320)}


@_needs_data
def test_the_computed_frustum_mask_is_close_to_the_published_one():
    stored = read_npz(_DATA / 'front3d_frustum_mask.npz', 'mask', kinds='b', ndim=3)
    turned = stored[::-1, ::-1]
    K = np.array([[277.1281435, 0, 159.5], [0, 277.1281435, 119.5], [0, 0, 1]])
    ours = frustum_mask(K, (240, 320), FrustumGrid()).numpy()
    assert stored.sum() == 2_659_390
    assert ours.sum() == 2_672_341
    assert (ours != turned).sum() == 41_263
