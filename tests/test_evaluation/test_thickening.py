"""Thickened surfaces of segments."""

import numpy as np
import pytest

from mmp3d.evaluation.functional import (
    count_matches,
    overlaps,
    thickened_masks,
    thickened_segments,
)

CHAIR, SOFA, WALL = 3, 4, 10


def _slow_truth(ids, segment_ids, distance, frustum, iso, factor):
    masks = []
    for segment_id in segment_ids:
        surface = (ids == segment_id) & (np.abs(distance) < iso)
        dims = np.array(ids.shape) // factor
        pooled = np.zeros(dims, bool)
        for cell in np.ndindex(*dims):
            low = [max(0, factor * i - 1) if factor > 1 else i for i in cell]
            high = [factor * i + factor for i in cell]
            pooled[cell] = surface[tuple(map(slice, low, high))].any()
        thick = np.zeros(dims, bool)
        for x, y, z in np.argwhere(pooled):
            thick[x : x + 3, y : y + 3, z : z + 3] = True
        if frustum is not None:
            thick &= frustum[::factor, ::factor, ::factor]
        masks.append(thick)
    return np.array(masks).reshape(len(segment_ids), *dims)


@pytest.mark.parametrize('factor', [1, 2, 4])
@pytest.mark.parametrize('num_segments', [1, 3, 9, 70])
def test_equals_the_slow_truth(factor, num_segments):
    rng = np.random.default_rng(num_segments)
    shape = (8, 12, 16)
    ids = rng.integers(0, num_segments + 1, shape).astype(np.int32)
    distance = rng.normal(0, 6, shape).astype(np.float32)
    segment_ids = rng.permutation(num_segments) + 1
    frustum = rng.random(shape) < 0.7
    args = (ids, segment_ids.tolist(), distance, frustum, 1.5, factor)
    np.testing.assert_array_equal(thickened_masks(*args), _slow_truth(*args))


def _example_3():
    frustum = np.zeros((256, 256, 256), bool)
    frustum[:, :, :60] = True
    gt = np.zeros(frustum.shape, np.int32), np.full(frustum.shape, 12, np.float32)
    pred = np.zeros(frustum.shape, np.int32), np.full(frustum.shape, 3, np.float32)
    for (ids, distance), voxels in (
        (
            gt,
            [
                ((50, 50, 50), 3, 0.0),
                ((51, 50, 50), 3, 0.5),
                ((52, 50, 50), 3, 1.0),
                ((58, 58, 58), 4, 0.2),
                ((100, 100, 100), 1, 0.4),
            ],
        ),
        (
            pred,
            [
                ((51, 50, 50), 1, 0.9),
                ((52, 50, 50), 1, 0.99),
                ((53, 50, 50), 1, 1.0),
                ((58, 58, 58), 2, 0.2),
                ((100, 100, 101), 3, 0.0),
            ],
        ),
    ):
        for voxel, segment_id, value in voxels:
            ids[voxel], distance[voxel] = segment_id, value
    return gt, pred, frustum


@pytest.mark.parametrize(
    ('iso', 'factor', 'areas', 'expected'),
    [
        (1.0, 1, ([36, 18, 0], [36, 18, 0]), (53.3333333, 53.3333333, 66.6666667)),
        (2.0, 2, ([36, 9, 0], [45, 9, 0]), (60, 60, 66.6666667)),
    ],
)
def test_example_3_the_whole_chain_on_the_published_grid(iso, factor, areas, expected):
    gt, pred, frustum = _example_3()
    gt = thickened_segments(gt[0], [3, 4, 1], gt[1], frustum, iso, factor)
    pred = thickened_segments(pred[0], [1, 2, 3], pred[1], frustum, iso, factor)
    assert gt.shape == (256 // factor,) * 3
    assert (gt.areas().tolist(), pred.areas().tolist()) == areas
    labels = [CHAIR, SOFA, WALL]
    counts = count_matches(overlaps(gt, labels, pred, labels), 13, 0.25)
    np.testing.assert_allclose(counts.scores().mean(range(1, 13)), expected)


def test_the_stamp_ends_at_the_grid():
    ids = np.ones((2, 3, 4), np.int32)
    distance = np.full(ids.shape, 9.0)
    distance[1, 2, 3] = 0
    mask = thickened_masks(ids, [1], distance)[0]
    assert np.argwhere(mask).tolist() == [[1, 2, 3]]


def test_signed_distances_count_by_their_size():
    ids = np.ones((8, 8, 8), np.int32)
    distance = np.full(ids.shape, -5.0)
    distance[1, 1, 1] = -0.9
    assert thickened_segments(ids, [1], distance).areas().tolist() == [27]


def test_no_surface_no_segment_and_an_unknown_id():
    ids = np.ones((4, 5, 6), np.int32)
    far = np.full(ids.shape, 3.0)
    assert thickened_segments(ids, [1, 7], far).areas().tolist() == [0, 0]
    assert thickened_masks(ids, [], np.zeros(ids.shape)).shape == (0, 4, 5, 6)
    assert thickened_segments(ids, [7], np.zeros(ids.shape)).areas().tolist() == [0]


def test_bad_volumes_are_refused():
    ids = np.zeros((4, 5, 6), np.int32)
    # Where the shape annotations are checked, they refuse first, with a TypeError.
    with pytest.raises(
        (ValueError, TypeError), match=r'over one grid|Type-check error'
    ):
        thickened_segments(ids, [1], np.zeros((4, 5, 7)))
    with pytest.raises(ValueError, match='multiple of downsample_factor 2'):
        thickened_segments(ids, [1], np.zeros(ids.shape), downsample_factor=2)
    with pytest.raises(ValueError, match='iso must be positive'):
        thickened_segments(ids, [1], np.zeros(ids.shape), iso=0.0)


def room_volume(size=256, num_segments=13, shift=0):
    """Walls, floor and boxes on a grid: ids and distances like those of a real room."""
    distance = np.full((size,) * 3, 12.0, np.float32)
    ids = np.zeros((size,) * 3, np.int32)
    low, high = size // 6, size - size // 6
    ramp = np.abs(np.arange(-12, 13)).astype(np.float32)
    for segment, axis in enumerate((0, 1, 2), start=1):
        slab = [slice(low, high)] * 3
        slab[axis] = slice(high - 13 + shift, high + 12 + shift)
        shape = [1, 1, 1]
        shape[axis] = 25
        distance[tuple(slab)] = np.minimum(distance[tuple(slab)], ramp.reshape(shape))
        ids[tuple(slab)] = segment
    rng = np.random.default_rng(0)
    for segment in range(4, num_segments + 1):
        corner = rng.integers(low, high - size // 4, 3) + shift
        edge = rng.integers(size // 16, size // 5, 3)
        box = tuple(slice(c, c + e) for c, e in zip(corner, edge, strict=True))
        inside = np.minimum.reduce(
            np.meshgrid(
                *(np.minimum(np.arange(e), e - 1 - np.arange(e)) for e in edge),
                indexing='ij',
            )
        )
        distance[box], ids[box] = np.minimum(inside, 12), segment
    return ids, distance


def test_one_pass_counts_what_pairs_of_masks_give():
    frustum = np.ones((80,) * 3, bool)
    labels = list(range(1, 14))
    volumes = room_volume(80), room_volume(80, shift=1)
    gt, pred = (thickened_segments(i, labels, d, frustum) for i, d in volumes)
    found = overlaps(gt, labels, pred, labels)
    gt, pred = (thickened_masks(i, labels, d, frustum) for i, d in volumes)
    pairs = [[(a & b).sum() for b in pred] for a in gt]
    assert found.intersections.tolist() == pairs
    assert np.count_nonzero(pairs) > 13  # neighbours overlap, once thickened
