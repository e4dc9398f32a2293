"""Stage-2 losses against recorded ones."""

from __future__ import annotations

import pytest
import torch
from golden import Golden, golden_files, load

from mmp3d.models.matchers import Matching
from mmp3d.sparse import SparseVoxels
from projects.NvPanoptix3D.nvpanoptix3d.frustum_losses import FrustumCriterion
from projects.NvPanoptix3D.nvpanoptix3d.frustum_targets import (
    DenseMasks,
    FrustumTargets,
    LevelTargets,
)
from projects.NvPanoptix3D.nvpanoptix3d.structures import FrustumPredictions

# Published level names -> ours: 64/128/256 stand for grid/4, grid/2 and grid.
_STRIDES = {'64': 4, '128': 2, '256': 1}


def _voxels(golden: Golden, name: str) -> SparseVoxels:
    return SparseVoxels(
        golden.tensor(f'decoder/{name}/coords').long(),
        golden.tensor(f'decoder/{name}/feats'),
        int(golden.inputs[f'decoder/{name}/tensor_stride'][0]),
        golden.meta['batch_size'],
    )


def _predictions(golden: Golden) -> FrustumPredictions:
    logits_1 = _voxels(golden, 'segm_256')
    num_queries = logits_1.feats.shape[1]
    identity = torch.eye(num_queries).expand(logits_1.batch_size, -1, -1)
    return FrustumPredictions(
        occupancy_logits_4=golden.tensor('decoder/occupancy_64'),
        occupancy_logits_2=_voxels(golden, 'occupancy_128'),
        occupancy_logits_1=_voxels(golden, 'occupancy_256'),
        mask_logits_4=golden.tensor('decoder/segm_64'),
        mask_logits_2=_voxels(golden, 'segm_128'),
        mask_features_1=logits_1,
        mask_queries_1=identity,
        tudf=_voxels(golden, 'geometry'),
    )


def _targets(golden: Golden, image: int) -> FrustumTargets:
    def level(name: str) -> LevelTargets:
        return LevelTargets(
            golden.tensor(f'image{image}/occupancy_{name}').bool(),
            golden.tensor(f'image{image}/weighting3d_{name}'),
            DenseMasks(golden.tensor(f'image{image}/masks_3d_{name}')),
        )

    return FrustumTargets(
        tudf=golden.tensor(f'image{image}/geometry'),
        stride_1=level('256'),
        stride_2=level('128'),
        stride_4=level('64'),
        num_targets=len(golden.inputs[f'image{image}/labels']),
        sample_weight=float(golden.inputs[f'image{image}/loss_weight']),
    )


@pytest.mark.parametrize('path', golden_files('H_stage2_losses*.npz'))
def test_stage2_losses(path):
    golden = load(path)
    images = range(golden.meta['batch_size'])
    matchings = [
        Matching(
            torch.from_numpy(golden.outputs[f'match/image{i}/query']),
            torch.from_numpy(golden.outputs[f'match/image{i}/target']),
        )
        for i in images
    ]
    weights = golden.meta['weights']
    criterion = FrustumCriterion(
        tudf_weight=weights['loss_geometry'],
        occupancy_weights=[weights[f'loss_occupancy_{n}'] for n in _STRIDES],
        mask_weight=weights['loss_panoptic_64'],
    )
    losses = criterion.losses(
        _predictions(golden), [_targets(golden, i) for i in images], matchings
    )

    names = {'loss_geometry': 'loss_tudf'}
    for name, stride in _STRIDES.items():
        names[f'loss_occupancy_{name}'] = f'loss_occupancy_{stride}'
        names[f'loss_panoptic_{name}'] = f'loss_volume_mask_{stride}'
    for published, ours in names.items():
        unweighted = float(golden.outputs[f'loss/{published}'])
        expected = torch.tensor(unweighted * weights[published])
        torch.testing.assert_close(losses[ours], expected, rtol=1e-4, atol=1e-6)
