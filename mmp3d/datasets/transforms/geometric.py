"""Change the image's geometry, and everything that has to follow."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Int, Shaped
from mmcv.transforms import BaseTransform

from mmp3d import geometry
from mmp3d.datasets.transforms.loading import resize_nearest
from mmp3d.registry import TRANSFORMS
from mmp3d.structures import FrustumGrid
from mmp3d.utils import check_choice, check_positive

_MAPS = ('gt_depth_map', 'gt_semantic_map', 'gt_instance_map', 'gt_room_map')
_PLANES = ('gt_plane_depth', 'room_mask')
_DERIVED = ('gt_labels', 'gt_masks', 'gt_instance_ids', 'gt_plane_occupancy')
_VOLUMES = ('gt_tudf', 'gt_semantic_volume', 'gt_instance_volume', 'gt_weights')


@TRANSFORMS.register_module()
class ShortestEdgeResize(BaseTransform):
    """Resize the image (bilinear) and its maps (nearest), and scale ``K``.

    Volumes and the reduced plane stay: they do not depend on the image's resolution.
    Depth values stay metric.

    Args:
        short_edges: Lengths in pixels, of which one is drawn.
        max_long_edge: Cap of the long edge in pixels; the short one shrinks with it.
        samples_per_draw: Draw for so many samples at once. With the batch size, all
            images of a batch get one size, as published: a worker loads whole batches.
    """

    def __init__(
        self,
        short_edges: Sequence[int],
        max_long_edge: int = 1333,
        samples_per_draw: int = 1,
    ) -> None:
        if not short_edges:
            raise ValueError('short_edges must name at least one length in pixels')
        for edge in (*short_edges, max_long_edge):
            check_positive('short_edges and max_long_edge', edge)
        check_positive('samples_per_draw', samples_per_draw)
        self.short_edges = tuple(short_edges)
        self.max_long_edge = max_long_edge
        self.samples_per_draw = samples_per_draw
        self._drawn, self._edge = 0, self.short_edges[0]

    def transform(self, results: dict) -> dict:
        """Apply to one sample."""
        begin_view_change(results, type(self).__name__)
        if self._drawn % self.samples_per_draw == 0:
            self._edge = self.short_edges[np.random.randint(len(self.short_edges))]
        self._drawn += 1
        old = results['img_shape']
        new = shortest_edge_size(old, self._edge, self.max_long_edge)
        if new == old:
            return results
        results['img'] = cv2.resize(
            results['img'], new[::-1], interpolation=cv2.INTER_LINEAR
        )
        for key in _MAPS:
            if key in results:
                values = results[key]
                # OpenCV knows no bool.
                resized = resize_nearest(values.view(_carrier(values.dtype)), new)
                results[key] = resized.view(values.dtype)
        results['K'] = geometry.scale_intrinsics(results['K'], old, new)
        results['img_shape'] = new
        return results


def _carrier(dtype: np.dtype) -> np.dtype:
    return np.dtype(np.uint8) if dtype.kind == 'b' else dtype


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
    """Mirror image and world left to right or upside down, with a probability.

    Follow: maps, depth, ``K``, frustum mask and volumes. Voxel index i stands at
    ``origin + i * voxel_size``, so its mirror image is index ``-2 * origin - i`` in
    voxels: n - i on the default grid of n voxels. Index 0 has no partner there and
    becomes free space outside the frustum.

    Put it before the transforms that derive targets (instance masks, plane occupancy).

    Args:
        prob: Probability to mirror.
        direction: 'horizontal' (left to right) or 'vertical' (upside down).
    """

    def __init__(self, prob: float = 0.5, direction: str = 'horizontal') -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'prob must be between 0 and 1, got {prob}')
        check_choice('direction', direction, ('horizontal', 'vertical'))
        self.prob = prob
        self.direction = direction

    def transform(self, results: dict) -> dict:
        """Apply to one sample."""
        begin_view_change(results, type(self).__name__)
        if np.random.rand() >= self.prob:
            return results
        horizontal = self.direction == 'horizontal'
        image_axis, grid_axis = (1, 0) if horizontal else (0, 1)
        for key in ('img', *_MAPS, *_PLANES):
            if key in results:
                mirrored = np.flip(results[key], image_axis)
                results[key] = np.ascontiguousarray(mirrored)
        grid: FrustumGrid = results['grid']
        for key in (*_VOLUMES, 'frustum_mask'):
            if key in results:
                fill = grid.truncation if key == 'gt_tudf' else 0.0
                results[key] = mirror_volume(results[key], grid, fill, grid_axis)
        height, width = results['img_shape']
        if horizontal:
            results['K'] = geometry.flip_intrinsics(results['K'], width)
        else:
            results['K'] = geometry.flip_intrinsics_vertically(results['K'], height)
        return results


def mirror_volume(
    volume: Shaped[np.ndarray, 'X Y Z'],
    grid: FrustumGrid,
    fill: float,
    axis: int = 0,
) -> Shaped[np.ndarray, 'X Y Z']:
    """Mirror a volume at the plane x = 0 (or y = 0) of the camera.

    Args:
        volume: Over the data's lattice of ``grid``.
        grid: Its origin and voxel size say where the plane is.
        fill: Value of the voxels whose mirror image lies outside.
        axis: 0 for x, 1 for y.

    Raises:
        ValueError: If the plane is neither on a voxel nor half-way between two.
    """
    span = -2 * grid.origin_metres[axis] / grid.voxel_size
    if abs(span - round(span)) > 1e-6:
        raise ValueError(
            f'a grid with origin {grid.origin} cannot be mirrored exactly: twice its '
            f'{"xy"[axis]} must be a whole number of voxels. Leave out '
            'RandomFlipReconstruction.'
        )
    size = volume.shape[axis]
    partner = round(span) - np.arange(size)
    inside = (partner >= 0) & (partner < size)
    mirrored = np.full_like(volume, fill)
    target, source = (
        tuple(part if i == axis else slice(None) for i in range(3))
        for part in (inside, partner[inside])
    )
    mirrored[target] = volume[source]
    return mirrored


@TRANSFORMS.register_module()
class RandomCropReconstruction(BaseTransform):
    """Cut a window out of the image; ``K`` and the truth in 3D follow.

    Maps are cut with the image. The camera stays where it is and sees less: voxels that
    the window does not show leave the frustum mask and become free space, weights stay.
    What the remaining voxels say stays true.

    Put it after all loaders and before the transforms that derive targets.

    Args:
        crop_size: (height, width) of the window in pixels; clipped to the image.
        single_category_max_area: Draw again, up to ten times, while one class takes
            more than this share of the labelled pixels of the window. The last window
            is taken whatever it shows. 1: any window will do.

    Source: DeepLab's crop rule as Detectron2 states it.
    Differs: the reference parses the limit and never applies it, and leaves camera,
        volumes and frustum mask as they were.
    """

    def __init__(
        self, crop_size: tuple[int, int], single_category_max_area: float = 1.0
    ) -> None:
        height, width = crop_size
        for edge in (height, width):
            check_positive('crop_size', edge)
        if not 0 < single_category_max_area <= 1:
            raise ValueError(
                'single_category_max_area must be a share above 0 and up to 1, got '
                f'{single_category_max_area}'
            )
        self.crop_size = (height, width)
        self.single_category_max_area = single_category_max_area

    def transform(self, results: dict) -> dict:
        """Apply to one sample.

        Raises:
            ValueError: If targets were derived before, or volumes are there without a
                frustum mask.
        """
        begin_view_change(results, type(self).__name__, refused=(*_DERIVED, *_PLANES))
        volumes = [key for key in _VOLUMES if key in results]
        if volumes and 'frustum_mask' not in results:
            raise ValueError(
                f'{type(self).__name__} cannot keep {volumes} true without the frustum '
                'mask; add LoadFrustumMask before it.'
            )
        window = self._draw(results)
        rows, columns = window
        for key in ('img', *_MAPS):
            if key in results:
                results[key] = np.ascontiguousarray(results[key][window])
        K = geometry.crop_intrinsics(results['K'], rows.start, columns.start)
        size = (rows.stop - rows.start, columns.stop - columns.start)
        results.update(K=K, img_shape=size)
        if 'frustum_mask' in results:
            cut_frustum(results)
        return results

    def _draw(self, results: dict) -> tuple[slice, slice]:
        height, width = results['img_shape']
        h, w = min(self.crop_size[0], height), min(self.crop_size[1], width)
        for _ in range(10):
            top = np.random.randint(height - h + 1)
            left = np.random.randint(width - w + 1)
            window = slice(top, top + h), slice(left, left + w)
            if self.single_category_max_area >= 1:
                break
            if self._is_mixed(results['gt_semantic_map'][window], results):
                break
        return window

    def _is_mixed(self, labels: Int[np.ndarray, 'h w'], results: dict) -> bool:
        labels = labels[labels != results['label_space'].void]
        counts = np.bincount(labels) if len(labels) else np.zeros(1)
        return bool(counts.max() < self.single_category_max_area * counts.sum())


def cut_frustum(results: dict) -> None:
    """Reduce frustum mask and volumes to what the present ``K`` and size show."""
    grid: FrustumGrid = results['grid']
    seen = geometry.frustum_mask(results['K'], results['img_shape'], grid).numpy()
    seen &= results['frustum_mask']
    results['frustum_mask'] = seen
    for key in ('gt_tudf', 'gt_semantic_volume', 'gt_instance_volume'):
        if key in results:
            fill = grid.truncation if key == 'gt_tudf' else 0
            volume = results[key]
            results[key] = np.where(seen, volume, volume.dtype.type(fill))


def begin_view_change(
    results: dict, transform: str, refused: Sequence[str] = _DERIVED
) -> None:
    """Note that the view changes, so that later loaders refuse; check the order.

    Raises:
        ValueError: If there are targets already that would not follow.
    """
    derived = [key for key in refused if key in results]
    if derived:
        raise ValueError(
            f'{transform} must come before the transforms that made {derived}; reorder '
            'the pipeline.'
        )
    results['view_changes'] = [*results.get('view_changes', ()), transform]
