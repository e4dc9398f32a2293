"""Change the image's geometry, and everything that has to follow."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Shaped
from mmcv.transforms import BaseTransform

from mmp3d import geometry
from mmp3d.datasets.transforms.loading import resize_nearest
from mmp3d.registry import TRANSFORMS
from mmp3d.structures import FrustumGrid
from mmp3d.utils import check_positive

_DERIVED = ('gt_labels', 'gt_masks', 'gt_instance_ids', 'gt_plane_occupancy')


@TRANSFORMS.register_module()
class ShortestEdgeResize(BaseTransform):
    """Resize the image (bilinear) and its maps (nearest), and scale ``K``.

    Volumes and the reduced plane stay: they do not depend on the image's resolution.
    Depth values stay metric.

    Args:
        short_edges: Lengths in pixels; one is drawn for each sample.
        max_long_edge: Cap of the long edge in pixels; the short one shrinks with it.
    """

    def __init__(self, short_edges: Sequence[int], max_long_edge: int = 1333) -> None:
        if not short_edges:
            raise ValueError('short_edges must name at least one length in pixels')
        for edge in (*short_edges, max_long_edge):
            check_positive('short_edges and max_long_edge', edge)
        self.short_edges = tuple(short_edges)
        self.max_long_edge = max_long_edge

    def transform(self, results: dict) -> dict:
        """Apply to one sample."""
        _refuse_derived(results, type(self).__name__)
        old = results['img_shape']
        edge = self.short_edges[np.random.randint(len(self.short_edges))]
        new = shortest_edge_size(old, edge, self.max_long_edge)
        if new == old:
            return results
        results['img'] = cv2.resize(
            results['img'], new[::-1], interpolation=cv2.INTER_LINEAR
        )
        for key in ('gt_depth_map', 'gt_semantic_map', 'gt_instance_map'):
            if key in results:
                results[key] = resize_nearest(results[key], new)
        results['K'] = geometry.scale_intrinsics(results['K'], old, new)
        results['img_shape'] = new
        return results


def shortest_edge_size(
    size: tuple[int, int], short_edge: int, max_long_edge: int
) -> tuple[int, int]:
    """Give (height, width) with a wanted short edge and the same aspect.

    Source: NVPanoptix3D, Detectron2's rule: halves round up, the cap comes second.
    """
    scale = short_edge / min(size)
    height, width = (scale * edge for edge in size)
    longest = max(height, width)
    if longest > max_long_edge:
        height *= max_long_edge / longest
        width *= max_long_edge / longest
    return int(height + 0.5), int(width + 0.5)


@TRANSFORMS.register_module()
class RandomFlipReconstruction(BaseTransform):
    """Mirror image and world left to right, with a probability.

    Follow: maps, depth, ``K``, frustum mask and volumes. Voxel index i stands at
    ``origin + i * voxel_size``, so its mirror image is index ``-2 * origin - i`` in
    voxels: n - i on the default grid of n voxels. Index 0 has no partner there and
    becomes free space outside the frustum.

    Put it before the transforms that derive targets (instance masks, plane occupancy).

    Args:
        prob: Probability to mirror.
    """

    def __init__(self, prob: float = 0.5) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'prob must be between 0 and 1, got {prob}')
        self.prob = prob

    def transform(self, results: dict) -> dict:
        """Apply to one sample."""
        _refuse_derived(results, type(self).__name__)
        if np.random.rand() >= self.prob:
            return results
        for key in (
            'img',
            'gt_depth_map',
            'gt_plane_depth',
            'gt_semantic_map',
            'gt_instance_map',
            'room_mask',
        ):
            if key in results:
                results[key] = np.ascontiguousarray(results[key][:, ::-1])
        grid: FrustumGrid = results['grid']
        fill = {
            'gt_tudf': grid.truncation,
            'gt_semantic_volume': 0.0,
            'gt_instance_volume': 0.0,
            'gt_weights': 0.0,
            'frustum_mask': 0.0,
        }
        for key, value in fill.items():
            if key in results:
                results[key] = mirror_volume(results[key], grid, value)
        width = results['img_shape'][1]
        results['K'] = geometry.flip_intrinsics(results['K'], width)
        return results


def mirror_volume(
    volume: Shaped[np.ndarray, 'X Y Z'], grid: FrustumGrid, fill: float
) -> Shaped[np.ndarray, 'X Y Z']:
    """Mirror a volume at the plane x = 0 of the camera.

    Args:
        volume: Over the data's lattice of ``grid``.
        grid: Its origin and voxel size say where x = 0 is.
        fill: Value of the voxels whose mirror image lies outside.

    Raises:
        ValueError: If x = 0 is neither on a voxel nor half-way between two.
    """
    span = -2 * grid.origin_metres[0] / grid.voxel_size
    if abs(span - round(span)) > 1e-6:
        raise ValueError(
            f'a grid with origin {grid.origin} cannot be mirrored exactly: twice its x '
            'must be a whole number of voxels. Leave out RandomFlipReconstruction.'
        )
    partner = round(span) - np.arange(len(volume))
    inside = (partner >= 0) & (partner < len(volume))
    mirrored = np.full_like(volume, fill)
    mirrored[inside] = volume[partner[inside]]
    return mirrored


def _refuse_derived(results: dict, transform: str) -> None:
    derived = [key for key in _DERIVED if key in results]
    if derived:
        raise ValueError(
            f'{transform} must come before the transforms that made {derived}; reorder '
            'the pipeline.'
        )
