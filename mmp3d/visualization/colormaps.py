"""Colours of segments and depths."""

from __future__ import annotations

from collections import Counter

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from mmp3d.structures import LabelSpace, PanopticSegmentation, TriangleMesh
from mmp3d.utils import check_choice

# Shades of the first, second, ... instance of a class: positive mixes with white,
# negative with black. The first is the colour of the legend.
_SHADES = (0.0, 0.42, -0.3, 0.22, -0.15, 0.58, -0.42, 0.32, -0.22, 0.5)


def segment_colors(
    panoptic: PanopticSegmentation, label_space: LabelSpace, by: str = 'instance'
) -> UInt8[np.ndarray, 'S 3']:
    """Give a colour for every id from 0 to the largest.

    Args:
        panoptic: The segments.
        label_space: Where the colours of the classes are.
        by: 'class', or 'instance': a shade of the class colour for each thing.
    """
    check_choice('by', by, ('class', 'instance'))
    palette = np.array(label_space.display_palette, np.float64)
    largest = max((segment.id for segment in panoptic.segments), default=0)
    colors = np.tile(palette[label_space.void], (largest + 1, 1))
    seen: Counter[int] = Counter()
    for segment in panoptic.segments:
        shade = 0.0
        if by == 'instance' and segment.is_thing:
            shade = _SHADES[seen[segment.label] % len(_SHADES)]
            seen[segment.label] += 1
        target = 255.0 if shade > 0 else 0.0
        color = palette[segment.label]
        colors[segment.id] = color + abs(shade) * (target - color)
    return np.rint(colors).astype(np.uint8)


def colorize_panoptic(
    panoptic: PanopticSegmentation, label_space: LabelSpace, by: str = 'instance'
) -> UInt8[np.ndarray, '*domain 3']:
    """Paint every cell in the colour of its segment, with dark lines between segments.

    Lines are drawn in images only; unassigned cells get the colour of void.
    """
    ids = panoptic.ids.cpu().numpy()
    colors = segment_colors(panoptic, label_space, by)
    known = np.where(ids < len(colors), ids, 0)
    painted = colors[known]
    if ids.ndim == 2:
        border = np.zeros(ids.shape, bool)
        border[:, 1:] |= ids[:, 1:] != ids[:, :-1]
        border[1:] |= ids[1:] != ids[:-1]
        painted[border] = painted[border] // 2
    return painted


def colorize_mesh(
    mesh: TriangleMesh,
    panoptic: PanopticSegmentation,
    label_space: LabelSpace,
    by: str = 'instance',
) -> UInt8[np.ndarray, 'N 3']:
    """Give every vertex the colour of its segment; void's where it has none."""
    colors = segment_colors(panoptic, label_space, by)
    return colors[np.where(mesh.ids < len(colors), mesh.ids, 0)]


def colorize_depth(
    depth: Float[np.ndarray, 'H W'], depth_range: tuple[float, float] | None = None
) -> UInt8[np.ndarray, 'H W 3']:
    """Paint a depth map: near red, far blue, unknown black.

    Args:
        depth: z-depth in metres, 0 or not finite = unknown.
        depth_range: Depths in metres of the two ends of the scale; ``None``: the
            smallest and the largest known depth.
    """
    known = np.isfinite(depth) & (depth > 0)
    if not known.any():
        return np.zeros((*depth.shape, 3), np.uint8)
    low, high = depth_range or (depth[known].min(), depth[known].max())
    level = (high - np.where(known, depth, high)) / max(high - low, 1e-6)
    # The very ends of the scale are nearly black.
    level = np.rint(10 + 235 * np.clip(level, 0, 1)).astype(np.uint8)
    painted = cv2.applyColorMap(level, cv2.COLORMAP_TURBO)[..., ::-1].copy()
    painted[~known] = 0
    return painted
