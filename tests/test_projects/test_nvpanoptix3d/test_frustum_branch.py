"""Stage 2 in one piece: views in, scene out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from mmengine.structures import InstanceData
from test_projects.test_nvpanoptix3d.lifting_inputs import (
    FRONT3D_K,
    camera_batch,
    view,
)

from mmp3d.models.matchers import Matching
from mmp3d.registry import MODELS
from mmp3d.sparse import SparseVoxels
from mmp3d.structures import (
    CameraBatch,
    FrustumGrid,
    PanopticReconstructionSample,
    QueryPredictions,
    VolumeData,
)
from projects.NvPanoptix3D.nvpanoptix3d.frustum_branch import FrustumBranch
from projects.NvPanoptix3D.nvpanoptix3d.structures import (
    FrustumPredictions,
    ViewPredictions,
)

GRID = FrustumGrid(dims=(64, 64, 64), voxel_size=0.12)
PLANE = (12, 16)
BATCH, QUERIES, MASK, DEPTH, WIDTH = 2, 5, 6, 4, 8


def _branch(with_criterion: bool = True) -> FrustumBranch:
    criterion = {'type': 'FrustumCriterion'} if with_criterion else None
    return MODELS.build(
        {
            'type': 'FrustumBranch',
            'feature_projector': {
                'type': 'FeatureProjector',
                'in_channels': DEPTH,
                'channels': 3,
            },
            'surface_lifting': {'type': 'SurfaceLifting'},
            'occupancy_lifting': {'type': 'OccupancyLifting'},
            'decoder': {
                'type': 'FrustumDecoder',
                'in_channels': (2, MASK + 3, 13, 16),
                'coarse_channels': WIDTH + 16,
                'query_dim': 7,
                'base_channels': 4,
                'output_channels': 4,
            },
            'criterion': criterion,
            'object_mask_threshold': 0.0,
        }
    )


def _views() -> ViewPredictions:
    return ViewPredictions(
        final=QueryPredictions(
            torch.randn(BATCH, QUERIES, 14), torch.randn(BATCH, QUERIES, 13, 16)
        ),
        auxiliary=(),
        queries=torch.randn(BATCH, QUERIES, 7),
        depth=torch.rand(BATCH, 26, 32),
        plane_logits=torch.randn(BATCH, 20, *PLANE),
        mask_features=torch.randn(BATCH, MASK, 13, 16),
        pyramid=tuple(
            torch.randn(BATCH, WIDTH, *size) for size in ((2, 2), (4, 4), (7, 8))
        ),
        depth_features=torch.randn(BATCH, DEPTH, 5, 6),
        pose_encoding=None,
    )


def _inputs() -> CameraBatch:
    return camera_batch(FRONT3D_K, ((240, 320),) * BATCH, (256, 320), GRID)


def _images() -> list:
    return [view(1 + 3 * torch.rand(PLANE)) for _ in range(BATCH)]


def _sample(dims: tuple[int, int, int] = GRID.dims) -> PanopticReconstructionSample:
    sample = PanopticReconstructionSample(metainfo={'sample_id': 'room_7'})
    semantic = torch.randint(0, 12, dims, dtype=torch.uint8)
    sample.gt_volume = VolumeData(
        tudf=12 * torch.rand(dims),
        semantic=semantic,
        instance_ids=(semantic == 3).int(),
        weights=torch.ones(dims),
    )
    sample.gt_instances = InstanceData(
        labels=torch.tensor([3, 10]), instance_ids=torch.tensor([1, 0])
    )
    return sample


def _pairs() -> list[Matching]:
    return [Matching(torch.tensor([1, 3]), torch.tensor([1, 0]))] * BATCH


def _nothing() -> FrustumPredictions:
    voxels = SparseVoxels(torch.zeros(0, 4).int(), torch.zeros(0, 1), 1, BATCH)
    cells = torch.zeros(BATCH, 16, 16, 16)
    queries = torch.zeros(BATCH, QUERIES, 1)
    return FrustumPredictions(
        cells, voxels, voxels, None, None, voxels, queries, voxels
    )


def test_all_weights_that_losses_reach_are_trained():
    branch, inputs = _branch(), _inputs()
    frustum = branch(_views(), _images(), inputs, with_coarse_masks=True)
    losses = branch.loss(frustum, inputs, [_sample()] * BATCH, _pairs())
    sum(losses.values()).backward()
    for name, weight in branch.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
    assert branch.feature_projector.project.weight.grad.abs().sum() > 0


@torch.no_grad()
def test_every_sample_gets_a_volume():
    branch, inputs, views = _branch(with_criterion=False).eval(), _inputs(), _views()
    frustum = branch(views, _images(), inputs)
    assert frustum.mask_logits_4 is None
    volumes = branch.segment(frustum, views, inputs)
    assert len(volumes) == BATCH
    for volume in volumes:
        assert volume.tudf.shape == volume.panoptic.ids.shape == GRID.dims
        assert volume.tudf.max() == branch.decoder.truncation


@torch.no_grad()
def test_a_batch_is_its_images_one_by_one():
    branch, views, images = _branch().eval(), _views(), _images()
    inputs = _inputs()
    together = branch(views, images, inputs)
    alone = branch(
        replace(
            views,
            queries=views.queries[1:],
            depth=views.depth[1:],
            plane_logits=views.plane_logits[1:],
            mask_features=views.mask_features[1:],
            pyramid=tuple(level[1:] for level in views.pyramid),
            depth_features=views.depth_features[1:],
        ),
        images[1:],
        replace(
            inputs,
            images=inputs.images[1:],
            K=inputs.K[1:],
            image_sizes=inputs.image_sizes[1:],
            frustum_mask=inputs.frustum_mask[1:],
        ),
    )
    torch.testing.assert_close(
        together.occupancy_logits_4[1:], alone.occupancy_logits_4, rtol=1e-4, atol=1e-4
    )
    rows = together.tudf.coords[:, 0] == 1
    assert torch.equal(together.tudf.coords[rows, 1:], alone.tudf.coords[:, 1:])
    torch.testing.assert_close(
        together.tudf.feats[rows], alone.tudf.feats, rtol=1e-4, atol=1e-4
    )


def test_views_without_plane_occupancy_are_refused():
    views = replace(_views(), plane_logits=None)
    with pytest.raises(ValueError, match='needs the plane occupancy of stage 1'):
        _branch()(views, _images(), _inputs())


def test_a_branch_without_criterion_cannot_be_trained():
    with pytest.raises(RuntimeError, match='built without a criterion'):
        _branch(with_criterion=False).loss(_nothing(), _inputs(), [], [])


def test_volumes_of_another_grid_are_refused():
    samples = [_sample(), _sample((64, 64, 32))]
    with pytest.raises(ValueError, match=r"gt_volume of sample 'room_7' must have"):
        _branch().loss(_nothing(), _inputs(), samples, _pairs())
