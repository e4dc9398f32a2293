"""Both liftings and the feature projector against recorded numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden import Golden, golden_files, load
from golden_grid import cubic_grid
from torch import Tensor

from mmp3d.structures import CameraBatch, FrustumGrid, PanopticSegmentation
from projects.NvPanoptix3D.nvpanoptix3d.checkpoint_keys import to_ours
from projects.NvPanoptix3D.nvpanoptix3d.feature_projector import FeatureProjector
from projects.NvPanoptix3D.nvpanoptix3d.occupancy_lifting import OccupancyLifting
from projects.NvPanoptix3D.nvpanoptix3d.surface_lifting import SurfaceLifting
from projects.NvPanoptix3D.nvpanoptix3d.view_segmentation import ViewSegmentation


def _view(depth: Tensor, probs: Tensor) -> ViewSegmentation:
    ids = torch.zeros_like(depth, dtype=torch.int32)
    return ViewSegmentation(PanopticSegmentation(ids, (), probs), depth)


def _batch(
    K: Tensor,
    image_size: tuple[int, int],
    padded_size: tuple[int, int],
    grid: FrustumGrid,
    frustum_mask: Tensor | None = None,
    room_mask: Tensor | None = None,
) -> CameraBatch:
    return CameraBatch(
        images=torch.zeros(len(K), 1, 3, *padded_size),
        K=K[:, None, :3, :3],
        image_sizes=(image_size,) * len(K),
        grid=grid,
        frustum_mask=frustum_mask,
        room_mask=room_mask,
    )


def _surface_inputs(golden: Golden) -> dict:
    meta = golden.meta
    features = golden.tensor('encoder_features')
    grid = cubic_grid(
        meta['frustum_dim'], meta['voxel_size'], meta['depth_min'], meta['depth_max']
    )
    K = golden.tensor('intrinsic').expand(len(features), 4, 4)
    return {
        'encoder_features': features,
        'pyramid': [golden.tensor(f'multi_scale_{i}') for i in (2, 1, 0)],
        'images': [
            _view(golden.tensor(f'image{i}/depth'), golden.tensor(f'image{i}/sem_seg'))
            for i in range(len(features))
        ],
        'inputs': _batch(
            K,
            tuple(meta['image_size_wh'][::-1]),
            tuple(meta['padded_size_wh'][::-1]),
            grid,
        ),
    }


def _check_rows(coords: Tensor, feats: Tensor, golden: Golden, name: str) -> None:
    recorded = golden.outputs[f'{name}/coords']
    assert coords.shape == recorded.shape
    # A coordinate next to a whole number can fall on either side.
    same = (coords.numpy() == recorded).all(axis=1)
    assert (~same).mean() < 1e-3
    np.testing.assert_allclose(
        feats.numpy(), golden.outputs[f'{name}/feats'], rtol=0, atol=1e-4
    )


@pytest.mark.parametrize('path', golden_files('G_sparse_projection*.npz'))
def test_surface_lifting(path):
    golden = load(path)
    lifting = SurfaceLifting(int(golden.meta['truncation']), duplicates='all')
    lifted = lifting(**_surface_inputs(golden))
    _check_rows(lifted.fine.coords, lifted.fine.feats, golden, 'encoder')
    for i, level in enumerate(lifted.coarse):
        _check_rows(level.coords, level.feats, golden, f'multi_scale_{i}')
        stride = golden.outputs[f'multi_scale_{i}/tensor_stride'][0]
        assert level.stride == stride


@pytest.mark.parametrize('path', golden_files('G_sparse_projection*.npz'))
def test_surface_lifting_keeps_the_first_row_of_each_voxel(path):
    golden = load(path)
    lifting = SurfaceLifting(int(golden.meta['truncation']))
    lifted = lifting(**_surface_inputs(golden)).fine
    coords, first = np.unique(
        golden.outputs['encoder/coords'], axis=0, return_index=True
    )
    np.testing.assert_array_equal(lifted.coords.numpy(), coords)
    np.testing.assert_allclose(
        lifted.feats.numpy(), golden.outputs['encoder/feats'][first], rtol=0, atol=1e-4
    )


@pytest.mark.parametrize('path', golden_files('G_occupancy_lifting*.npz'))
def test_occupancy_lifting(path):
    golden = load(path)
    meta = golden.meta
    size = tuple(meta['depth_size_hw'])
    room = golden.tensor('room_mask') if 'room_mask' in golden.inputs else None
    inputs = _batch(
        golden.tensor('intrinsic'),
        size,
        size,
        cubic_grid(
            meta['frustum_dims'],
            meta['voxel_size'],
            meta['depth_min'],
            meta['depth_max'],
        ),
        golden.tensor('kept'),
        room,
    )
    images = [_view(golden.tensor('depth'), golden.tensor('sem_seg'))]
    logits = golden.tensor('occupancy2d')
    lifted = OccupancyLifting(duplicates='all')(logits, images, inputs)

    order = np.lexsort(lifted.coords.numpy().T[::-1])  # stable
    coords, feats = golden.outputs['coords'], golden.outputs['feats']
    np.testing.assert_array_equal(lifted.coords.numpy()[order], coords)
    np.testing.assert_allclose(lifted.feats.numpy()[order], feats, rtol=0, atol=1e-5)

    merged = OccupancyLifting()(logits, images, inputs)
    _, first = np.unique(coords, axis=0, return_index=True)
    assert len(merged.coords) == golden.outputs['num_unique']
    np.testing.assert_array_equal(merged.coords.numpy(), coords[first])
    np.testing.assert_allclose(merged.feats.numpy(), feats[first], rtol=0, atol=1e-5)


@pytest.mark.parametrize('path', golden_files('H_projection_block*.npz'))
def test_feature_projector(path):
    golden = load(path)
    published = {f'projector.{name}': w for name, w in golden.weights.items()}
    converted = to_ours(published)
    assert not converted.unknown
    prefix = 'frustum_branch.feature_projector.'
    state = {name.removeprefix(prefix): w for name, w in converted.state.items()}
    projector = FeatureProjector(golden.meta['in_feature'], golden.meta['out_feature'])
    projector.load_state_dict(state, strict=True)
    projector.train(golden.meta['mode'] == 'train')
    projected = projector(golden.tensor('x'), tuple(golden.meta['target_hw']))
    torch.testing.assert_close(
        projected, torch.from_numpy(golden.outputs['y']), rtol=0, atol=1e-5
    )
