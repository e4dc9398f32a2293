"""Padding, scaling and batching of images with their cameras."""

from __future__ import annotations

import pytest
import torch

from mmp3d.models.data_preprocessors import ReconstructionDataPreprocessor
from mmp3d.structures import FrustumGrid, PanopticReconstructionSample


def _sample(name: str, grid: FrustumGrid) -> PanopticReconstructionSample:
    return PanopticReconstructionSample(metainfo=dict(sample_id=name, grid=grid))


def _data(*sizes: tuple[int, int], grids: list[FrustumGrid] | None = None) -> dict:
    grids = grids or [FrustumGrid()] * len(sizes)
    return dict(
        inputs=dict(
            img=[torch.full((3, h, w), 51, dtype=torch.uint8) for h, w in sizes],
            K=[torch.eye(3) for _ in sizes],
        ),
        data_samples=[_sample(f's{i}', grid) for i, grid in enumerate(grids)],
    )


def test_images_are_padded_grey_and_scaled():
    batch = ReconstructionDataPreprocessor(32, 128.0)(_data((5, 33), (30, 7)))['inputs']
    assert batch.images.shape == (2, 1, 3, 32, 64)
    assert batch.image_sizes == ((5, 33), (30, 7))
    torch.testing.assert_close(batch.images[0, 0, :, 4, 32], torch.full((3,), 0.2))
    padded = torch.full((3,), 128 / 255)
    torch.testing.assert_close(batch.images[0, 0, :, 5, 32], padded)
    torch.testing.assert_close(batch.images[1, 0, :, 4, 7], padded)
    assert batch.K.shape == (2, 1, 3, 3) and batch.K.dtype == torch.float64
    assert batch.frustum_mask is None


def test_a_fitting_image_is_not_padded():
    batch = ReconstructionDataPreprocessor(16)(_data((16, 32)))['inputs']
    assert batch.padded_size == (16, 32)


def test_a_sample_can_ask_for_more_padding():
    data = _data((24, 18), (20, 32))
    data['data_samples'][0].set_metainfo({'pad_shape': (24, 40)})
    batch = ReconstructionDataPreprocessor(16)(data)['inputs']
    assert batch.padded_size == (32, 48)
    assert batch.image_sizes == ((24, 18), (20, 32))


def test_different_grids_in_one_batch_are_refused():
    grids = [FrustumGrid(), FrustumGrid(dims=(128, 128, 128), voxel_size=0.06)]
    with pytest.raises(ValueError, match="sample 's1' has the grid"):
        ReconstructionDataPreprocessor()(_data((4, 4), (4, 4), grids=grids))
