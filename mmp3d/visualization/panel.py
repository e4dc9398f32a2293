"""One picture that tells a sample: image, depth, segments, the scene from two sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8
from PIL import Image, ImageDraw, ImageFont

from mmp3d.geometry import frustum_mask
from mmp3d.geometry.mesh import mesh_from_volume
from mmp3d.structures import (
    LabelSpace,
    PanopticReconstructionSample,
    PanopticSegmentation,
    TriangleMesh,
)
from mmp3d.utils import check_choice
from mmp3d.visualization.colormaps import (
    colorize_depth,
    colorize_mesh,
    colorize_panoptic,
)
from mmp3d.visualization.scene_renderer import Viewpoint, overview, render_mesh
from mmp3d.visualization.truth import panoptic_of_maps

Picture = UInt8[np.ndarray, '_ _ 3']

_GAP, _BAR = 8, 22  # pixels between pictures, and of a title
_TEXT, _PALE = (40, 40, 40), (235, 235, 235)
_WIDTH = 1200  # pixels of the whole panel
# Azimuth and elevation in radians of the two looks into the scene.
_LOOKS = (('from the left', -0.55, 0.72), ('from the right', 0.55, 0.72))


@dataclass(frozen=True)
class _Scene:
    """What one side, truth or prediction, says of an image.

    Attributes:
        depth: z-depth in metres; ``None`` where this side has none.
        panoptic: Segments of the image, or ``None``.
        tudf: Distances in voxels, or ``None``.
        volume: Segments of the volume, or ``None``.
    """

    depth: Float[np.ndarray, 'H W'] | None
    panoptic: PanopticSegmentation | None
    tudf: Float[np.ndarray, 'X Y Z'] | None
    volume: PanopticSegmentation | None


def sample_panel(
    sample: PanopticReconstructionSample, image: Picture, which: str = 'pred'
) -> UInt8[np.ndarray, 'R C 3']:
    """Draw image, depth, 2D segments and, where there is a volume, the 3D scene.

    Args:
        sample: Its meta information, and ground truth or predictions.
        image: RGB of the sample at any resolution.
        which: 'gt' or 'pred'. Parts that the sample does not have are left empty.

    Returns:
        A panel 1200 pixels wide, titles and a legend included.
    """
    check_choice('which', which, ('gt', 'pred'))
    scene = _predicted(sample) if which == 'pred' else _true(sample)
    space = sample.label_space
    prefix = 'true ' if which == 'gt' else ''
    height, width = image.shape[:2]
    cell = _cell_size(3, height / width)
    depth_range = sample.grid.depth_range if 'grid' in sample else None
    cells = [
        (_image_title(sample), image),
        (f'{prefix}depth', _paint(colorize_depth, scene.depth, depth_range)),
        (f'{prefix}panoptic 2D', _paint(colorize_panoptic, scene.panoptic, space)),
    ]
    if depth_range is not None:
        near, far = depth_range
        cells[1] = (f'{prefix}depth, {near:g} m red to {far:g} m blue', cells[1][1])
    rows = [_row(cells, cell)]
    if scene.tudf is not None and scene.volume is not None:
        rows.append(_scene_row(sample, scene, space, prefix))
    rows.append(_legend(_labels(scene), space))
    return np.vstack(rows)


def _image_title(sample: PanopticReconstructionSample) -> str:
    """Name the picture, and for free images where its camera comes from."""
    if 'intrinsics_source' not in sample:
        return 'image'
    fx, fy = np.asarray(sample.K)[[0, 1], [0, 1]]
    return f'image, K from {sample.intrinsics_source}: f {fx:.0f} x {fy:.0f} px'


def _paint(
    painter: Callable[..., Picture],
    value: object,
    argument: LabelSpace | tuple[float, float] | None,
) -> Picture | None:
    return None if value is None else painter(value, argument)


def _array(
    sample: PanopticReconstructionSample, element: str, field: str
) -> Shaped[np.ndarray, '...'] | None:
    if element not in sample or field not in sample.get(element):
        return None
    return sample.get(element).get(field).detach().cpu().numpy()


def _predicted(sample: PanopticReconstructionSample) -> _Scene:
    depth = _array(sample, 'pred_depth_map', 'depth')
    image, volume = sample.get('pred_panoptic_seg'), sample.get('pred_volume_seg')
    return _Scene(
        None if depth is None else depth[0],
        None if image is None else image.cpu(),
        _array(sample, 'pred_volume', 'tudf'),
        None if volume is None else volume.cpu(),
    )


def _true(sample: PanopticReconstructionSample) -> _Scene:
    space = sample.label_space
    depth = _array(sample, 'gt_depth_map', 'depth')
    panoptic = volume = None
    if 'gt_panoptic_seg' in sample:
        panoptic = panoptic_of_maps(
            _array(sample, 'gt_panoptic_seg', 'semantic')[0],
            _array(sample, 'gt_panoptic_seg', 'instance_ids')[0],
            space,
        )
    elif 'gt_instances' in sample:
        panoptic = _of_instances(sample, space)
    semantic = _array(sample, 'gt_volume', 'semantic')
    if semantic is not None:
        instances = _array(sample, 'gt_volume', 'instance_ids')
        volume = panoptic_of_maps(semantic, instances, space)
    tudf = _array(sample, 'gt_volume', 'tudf')
    return _Scene(None if depth is None else depth[0], panoptic, tudf, volume)


def _of_instances(
    sample: PanopticReconstructionSample, space: LabelSpace
) -> PanopticSegmentation:
    masks = _array(sample, 'gt_instances', 'masks')
    labels = _array(sample, 'gt_instances', 'labels')
    semantic = np.zeros(masks.shape[1:], np.int64)
    instances = np.zeros(masks.shape[1:], np.int64)
    # Backwards: where masks overlap, the first one stays on top.
    for number in reversed(range(len(labels))):
        semantic[masks[number]] = labels[number]
        instances[masks[number]] = number + 1
    return panoptic_of_maps(semantic, instances, space)


def _labels(scene: _Scene) -> list[int]:
    segmentations = [s for s in (scene.panoptic, scene.volume) if s is not None]
    return sorted({segment.label for s in segmentations for segment in s.segments})


def _cell_size(columns: int, aspect: float) -> tuple[int, int]:
    """(height, width) of one of several pictures side by side."""
    width = (_WIDTH - (columns + 1) * _GAP) // columns
    return int(np.clip(round(width * aspect), 120, 600)), width


def _row(cells: list[tuple[str, Picture | None]], size: tuple[int, int]) -> Picture:
    height, width = size
    row = np.full((height + _BAR + _GAP, _WIDTH, 3), 255, np.uint8)
    for index, (title, picture) in enumerate(cells):
        left = _GAP + index * (width + _GAP)
        if picture is None:
            title, picture = (
                f'{title}: not available',
                np.full((1, 1, 3), 235, np.uint8),
            )
            picture = np.full((height, width, 3), _PALE, np.uint8)
        _write(row, title, (left, 3))
        picture = _fit(picture, size)
        top = _BAR + (height - picture.shape[0]) // 2
        left += (width - picture.shape[1]) // 2
        row[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return row


def _fit(picture: Picture, size: tuple[int, int]) -> Picture:
    height, width = picture.shape[:2]
    scale = min(size[0] / height, size[1] / width)
    shape = max(round(width * scale), 1), max(round(height * scale), 1)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(picture, shape, interpolation=method)


def _scene_row(
    sample: PanopticReconstructionSample,
    scene: _Scene,
    space: LabelSpace,
    prefix: str,
) -> Picture:
    height, width = size = _cell_size(2, 0.72)
    mesh = mesh_from_volume(
        scene.tudf, scene.volume.ids.numpy(), sample.grid, inside=_inside(sample)
    )
    if len(mesh.faces) == 0:
        return _row([(f'{prefix}3D scene {name}', None) for name, _, _ in _LOOKS], size)
    is_shell = _is_shell(mesh, scene.volume, space)
    mesh, is_shell = _inner_sheets(mesh, is_shell)
    colors = colorize_mesh(mesh, scene.volume, space)
    up = _up(mesh, scene.volume, space)
    points = np.vstack([mesh.vertices, np.zeros((1, 3), np.float32)])  # the camera too
    cells = []
    for name, azimuth, elevation in _LOOKS:
        viewpoint = overview(points, up, azimuth, elevation, (height, width))
        picture = render_mesh(mesh, colors, viewpoint, is_shell)
        picture = _draw_camera(picture, viewpoint, sample)
        cells.append((f'{prefix}3D scene {name}', picture))
    return _row(cells, size)


def _draw_camera(
    picture: Picture, viewpoint: Viewpoint, sample: PanopticReconstructionSample
) -> Picture:
    """Draw the camera of the image as a small pyramid."""
    height, width = sample.img_shape[:2]
    corners = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1]])
    rays = 0.28 * corners @ np.linalg.inv(np.asarray(sample.K, np.float64)).T  # metres
    pixels, _ = viewpoint.project(np.vstack([np.zeros(3), rays]))
    pixels = np.rint(pixels * 8).astype(np.int32)
    drawn = picture.copy()
    for line in (pixels[1:], *(pixels[[0, corner]] for corner in range(1, 5))):
        closed = len(line) > 2
        cv2.polylines(drawn, [line], closed, _TEXT, 1, cv2.LINE_AA, shift=3)
    return drawn


def _inside(sample: PanopticReconstructionSample) -> Bool[np.ndarray, 'X Y Z']:
    mask = _array(sample, 'gt_volume', 'frustum_mask')
    if mask is not None:
        return mask.astype(bool)
    return frustum_mask(sample.K, tuple(sample.img_shape[:2]), sample.grid).numpy()


def _is_shell(
    mesh: TriangleMesh, volume: PanopticSegmentation, space: LabelSpace
) -> Bool[np.ndarray, ' N']:
    """Whether a vertex belongs to stuff: what encloses the room."""
    stuff = [s.id for s in volume.segments if s.label in space.stuff_labels]
    return np.isin(mesh.ids, stuff)


def _inner_sheets(
    mesh: TriangleMesh, is_shell: Bool[np.ndarray, ' N']
) -> tuple[TriangleMesh, Bool[np.ndarray, ' K']]:
    """Leave out the sheets of walls, floor and ceiling that the camera cannot see."""
    away = np.einsum('nc,nc->n', mesh.vertices, mesh.normals) > 0
    hidden = (is_shell & away)[mesh.faces].sum(axis=1) >= 2
    used = np.zeros(len(mesh.vertices), bool)
    used[mesh.faces[~hidden]] = True
    return mesh.keep_faces(~hidden), is_shell[used]


def _up(
    mesh: TriangleMesh, volume: PanopticSegmentation, space: LabelSpace
) -> Float[np.ndarray, '3']:
    """Against gravity: the mean normal of the floor, or the picture's vertical."""
    floors = [s.id for s in volume.segments if space.classes[s.label] == 'floor']
    normals = mesh.normals[np.isin(mesh.ids, floors)]
    vertical = np.array([0.0, -1.0, 0.0])
    if len(normals) < 50:
        return vertical
    up = normals.mean(axis=0) / max(np.linalg.norm(normals.mean(axis=0)), 1e-6)
    return up if up @ vertical > 0.6 else vertical


def _legend(labels: list[int], space: LabelSpace) -> Picture:
    row = np.full((_BAR + 4, _WIDTH, 3), 255, np.uint8)
    left = _GAP
    for label in labels:
        name = space.classes[label]
        if left + 30 + 8 * len(name) > _WIDTH:
            break
        row[4:18, left : left + 14] = space.display_palette[label]
        left = _write(row, name, (left + 19, 2)) + 16
    return row


def _write(picture: Picture, text: str, at: tuple[int, int]) -> int:
    """Write on a picture in place; gives the column where the text ends."""
    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(14)
    draw.text(at, text, fill=_TEXT, font=font)
    picture[:] = np.asarray(canvas)
    return int(at[0] + draw.textlength(text, font=font))
