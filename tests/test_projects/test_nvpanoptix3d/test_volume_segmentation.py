import json

import pytest
import torch

from mmp3d.sparse import SparseVoxels
from mmp3d.structures import FRONT3D
from projects.NvPanoptix3D.nvpanoptix3d.volume_segmentation import segment_volumes
from tools.analysis.benchmark import run_case, segment_densely

DIMS = (5, 7, 6)
RULES = {'label_space': FRONT3D, 'object_mask_threshold': 0.3}


def voxels(coords, feats, batch_size=1) -> SparseVoxels:
    coords = torch.as_tensor(coords, dtype=torch.int32).view(-1, 4)
    return SparseVoxels(coords, feats, stride=1, batch_size=batch_size)


def random_inputs(batch_size=2, num_queries=9, num_channels=4):
    coords = torch.rand(batch_size, *DIMS).gt(0.6).nonzero()
    features = torch.randn(len(coords), num_channels) * 2
    return (
        torch.randn(batch_size, num_queries, 14) * 5,
        voxels(coords, features, batch_size),
        torch.randn(batch_size, num_queries, num_channels) * 2,
        voxels(coords, torch.rand(len(coords), 1) * 3, batch_size),
    )


@pytest.mark.parametrize('seed', range(5))
def test_rows_give_what_dense_volumes_give(seed):
    torch.manual_seed(seed)
    inputs = random_inputs()
    volumes = segment_volumes(*inputs, DIMS, **RULES)
    for volume, (tudf, ids) in zip(
        volumes, segment_densely(*inputs, DIMS, **RULES), strict=True
    ):
        assert volume.panoptic.ids.tolist() == ids.tolist()
        torch.testing.assert_close(volume.tudf, tudf)
        assert len(volume.panoptic.segments) == ids.max()
        assert volume.panoptic.class_probs is None


def test_a_surface_voxel_goes_to_its_best_query_even_if_unsure():
    coords = [[0, 1, 2, 3], [0, 1, 2, 4], [0, 4, 6, 5]]
    class_logits = torch.zeros(1, 1, 14)
    class_logits[0, 0, 10] = 9.0
    features = torch.tensor([[4.0], [-1.0], [-1.0]])
    distances = torch.tensor([[2.9], [1.5], [1.6]])
    (volume,) = segment_volumes(
        class_logits,
        voxels(coords, features),
        torch.ones(1, 1, 1),
        voxels(coords, distances),
        DIMS,
        **RULES,
    )
    assert volume.panoptic.ids.nonzero().tolist() == [[1, 2, 3], [1, 2, 4]]
    assert volume.tudf[4, 6, 5].item() == pytest.approx(1.6)
    assert volume.tudf.sum().item() == pytest.approx(3.0 * (5 * 7 * 6 - 3) + 6.0)


def test_void_queries_are_ignored():
    class_logits = torch.zeros(1, 1, 14)
    class_logits[0, 0, 0] = 9.0
    coords = [[0, 1, 2, 3]]
    (volume,) = segment_volumes(
        class_logits,
        voxels(coords, torch.ones(1, 1)),
        torch.ones(1, 1, 1),
        voxels(coords, torch.ones(1, 1)),
        DIMS,
        **RULES,
    )
    assert volume.panoptic.segments == ()


def test_a_sample_without_a_voxel_is_empty_space():
    class_logits, features, queries, tudf = random_inputs(batch_size=1)
    batch = (
        class_logits.expand(2, -1, -1),
        voxels(features.coords, features.feats, 2),
        queries.expand(2, -1, -1),
        voxels(tudf.coords, tudf.feats, 2),
    )
    full, empty = segment_volumes(*batch, DIMS, **RULES)
    assert full.panoptic.segments
    assert empty.panoptic.segments == ()
    assert (empty.tudf == 3).all()
    assert tuple(empty.panoptic.ids.shape) == DIMS


def test_rows_outside_the_grid_are_dropped():
    coords = [[0, -1, 0, 0], [0, 0, 7, 0], [0, 4, 6, 5]]
    class_logits = torch.zeros(1, 1, 14)
    class_logits[0, 0, 3] = 9.0
    (volume,) = segment_volumes(
        class_logits,
        voxels(coords, torch.ones(3, 1)),
        torch.ones(1, 1, 1),
        voxels(coords, torch.zeros(3, 1)),
        DIMS,
        **RULES,
    )
    assert volume.panoptic.ids.nonzero().tolist() == [[4, 6, 5]]


def test_features_and_distances_at_different_voxels_are_refused():
    class_logits, features, queries, tudf = random_inputs(batch_size=1)
    shifted = voxels(tudf.coords.roll(1, dims=0), tudf.feats)
    with pytest.raises(ValueError, match='same voxels in the same order'):
        segment_volumes(class_logits, features, queries, shifted, DIMS, **RULES)


def test_the_benchmark_measures_both_ways():
    size = {'grid': 16, 'voxels': 300, 'queries': 5}
    for name in ('panoptic3d_sparse', 'panoptic3d_dense'):
        cost = run_case(json.dumps({'name': name, 'threads': 1, 'arguments': size}))
        assert cost.seconds > 0
        assert cost.extra_mib >= 0


def test_no_volume_per_query_is_ever_made():
    size = {'grid': 128, 'voxels': 60_000, 'queries': 100}
    task = {'name': 'panoptic3d_sparse', 'threads': 1, 'arguments': size}
    cost = run_case(json.dumps(task), repeats=1)
    dense_mib = 100 * 128**3 * 4 / 2**20
    assert cost.extra_mib < dense_mib / 5
