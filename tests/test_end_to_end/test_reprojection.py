"""The surface of a scene, projected with K, lies where the image sees it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from jaxtyping import Float
from PIL import Image
from scipy.ndimage import maximum_filter, minimum_filter

from mmp3d.datasets import Front3DDataset
from mmp3d.datasets.transforms import LoadFreeImage
from mmp3d.geometry import (
    camera_to_grid,
    crop_intrinsics,
    frustum_mask,
    scale_intrinsics,
    unproject_depth,
    voxel_points,
)
from mmp3d.structures import CameraBatch, FrustumGrid, PanopticSegmentation
from projects.NvPanoptix3D.nvpanoptix3d.surface_lifting import SurfaceLifting
from projects.NvPanoptix3D.nvpanoptix3d.view_segmentation import ViewSegmentation

GRID = dict(dims=(64, 64, 64), voxel_size=0.12)
FINE_GRID = dict(dims=(128, 128, 128), voxel_size=0.06)
DATASET_K, TARGET = Front3DDataset.default_camera()

# Rows and columns that are cut out of 240 x 320, the size they are brought to, and fit.
PICTURES = {
    'whole': (slice(0, 240), slice(0, 320), (240, 320), 'stretch'),
    'larger': (slice(0, 240), slice(0, 320), (480, 960), 'stretch'),
    'tiny': (slice(0, 240), slice(0, 320), (48, 64), 'pad'),
    'portrait': (slice(0, 240), slice(130, 250), (480, 240), 'pad'),
    'stretched portrait': (slice(0, 240), slice(130, 250), (480, 240), 'stretch'),
    'panorama': (slice(100, 180), slice(0, 320), (160, 640), 'pad'),
}


@pytest.fixture(scope='module')
def scene(rooms: Path) -> dict:
    """A room with its true depth map and distances."""
    pipeline = [
        dict(type='LoadReconstructionImage'),
        dict(type='LoadDepthMap'),
        dict(type='LoadVolumes', volumes=('geometry',)),
    ]
    return Front3DDataset(str(rooms), 'meta/test.json', pipeline, GRID)[0]


def _picture(
    scene: dict, name: str, grid: dict = GRID
) -> tuple[dict, Float[np.ndarray, 'H W']]:
    """Cut a picture out of the scene, give it to the loader; its depth goes along."""
    rows, columns, size, fit = PICTURES[name]
    image = scene['img'][rows, columns]
    K = crop_intrinsics(scene['K'], rows.start, columns.start)
    K = scale_intrinsics(K, image.shape[:2], size)
    image = np.array(Image.fromarray(image).resize(size[::-1]))
    loader = LoadFreeImage(TARGET, DATASET_K, grid, 'front3d', fit)
    results = loader.transform({'img': image, 'K': K})
    depth = scene['gt_depth_map'][rows, columns]
    for shape in (size, results['img_shape']):
        depth = cv2.resize(depth, shape[::-1], interpolation=cv2.INTER_NEAREST)
    return results, depth


def _distances_of_pixels(
    depth: Float[np.ndarray, 'H W'], K: Float[np.ndarray, '3 3'], scene: dict
) -> Float[np.ndarray, ' N']:
    """True distance, in voxels, of the voxel that each pixel's point falls into."""
    grid: FrustumGrid = scene['grid']
    points = unproject_depth(torch.tensor(depth).double(), torch.tensor(K)).numpy()
    voxels = np.rint((points - grid.origin_metres) / grid.voxel_size).astype(int)
    near, far = grid.depth_range
    inside = ((voxels >= 0) & (voxels < grid.dims)).all(-1)
    voxels = voxels[inside & (depth > near) & (depth < far)]
    # Distances are known in the frustum only.
    known = frustum_mask(scene['K'], TARGET, grid).numpy()[tuple(voxels.T)]
    assert known.mean() > 0.5
    return scene['gt_tudf'][tuple(voxels[known].T)]


def _behind_the_image(
    points: Float[np.ndarray, 'N 3'],
    depth: Float[np.ndarray, 'H W'],
    K: Float[np.ndarray, '3 3'],
    voxel_size: float,
) -> tuple[Float[np.ndarray, ' N'], Float[np.ndarray, ' N']]:
    """How many voxels each point lies behind what is seen, near its pixel, first and
    last; points outside the image are left out."""
    uvw = points @ K.T
    uv = np.rint(uvw[:, :2] / uvw[:, 2:]).astype(int)
    inside = ((uv >= 0) & (uv < depth.shape[::-1])).all(axis=1) & (points[:, 2] > 0.4)
    u, v = uv[inside].T
    # The pixels that half a voxel covers at 3 m, to either side.
    window = [2 * round(f * voxel_size / 6) + 1 for f in (K[1, 1], K[0, 0])]
    first, last = minimum_filter(depth, window), maximum_filter(depth, window)
    z = points[inside, 2]
    return (z - first[v, u]) / voxel_size, (z - last[v, u]) / voxel_size


@pytest.mark.parametrize('name', PICTURES)
def test_the_surface_lies_where_the_image_sees_it(scene: dict, name: str):
    results, depth = _picture(scene, name)
    assert depth.shape == results['img'].shape[:2]
    # What a pixel sees is a surface voxel, within one voxel. One pixel of the tiny
    # picture is five by five of the loaded one, all with the same depth.
    share = (_distances_of_pixels(depth, results['K'], scene) <= 1).mean()
    assert share > (0.9 if name == 'tiny' else 0.999)
    # And no surface voxel stands before it.
    grid: FrustumGrid = scene['grid']
    surface = voxel_points(grid, torch.float64).numpy()[scene['gt_tudf'] < 0.5]
    behind, _ = _behind_the_image(surface, depth, results['K'], grid.voxel_size)
    assert len(behind) > 300
    assert (behind >= -1).mean() > (0.95 if name == 'tiny' else 0.99)


def test_a_camera_that_does_not_follow_is_noticed(scene: dict):
    results, depth = _picture(scene, 'portrait')
    wrong = results['K'] + np.array([[0, 0, 60], [0, 0, 0], [0, 0, 0]])
    assert (_distances_of_pixels(depth, wrong, scene) <= 1).mean() < 0.9


def _lifted(results: dict, depth: Float[np.ndarray, 'H W']) -> Float[np.ndarray, 'N 3']:
    """Cells of the voxels that the surface lifting puts on the surface itself."""
    plane = cv2.resize(depth, (160, 120), interpolation=cv2.INTER_NEAREST)
    probs, height, width = torch.zeros(2, 120, 160), *depth.shape
    panoptic = PanopticSegmentation(torch.zeros(120, 160, dtype=torch.int32), (), probs)
    inputs = CameraBatch(
        images=torch.zeros(1, 1, 3, height + 16, width),
        K=torch.tensor(results['K'])[None, None],
        image_sizes=((height, width),),
        grid=results['grid'],
    )
    view = ViewSegmentation(panoptic, torch.tensor(plane))
    voxels = SurfaceLifting()(torch.zeros(1, 1, 4, 4), (), [view], inputs).fine
    on_surface = voxels.feats[:, 1] <= 0.5
    return voxels.coords[on_surface, 1:].numpy()


@pytest.mark.parametrize('name', ['whole', 'portrait', 'stretched portrait'])
def test_lifted_voxels_stand_on_the_grid_that_is_handed_on(scene: dict, name: str):
    results, depth = _picture(scene, name, FINE_GRID)
    grid: FrustumGrid = results['grid']
    cells = _lifted(results, depth)

    def share_on_surface(grid: FrustumGrid) -> float:
        points = cells * grid.voxel_size + grid.origin_metres
        first, last = _behind_the_image(points, depth, results['K'], grid.voxel_size)
        # The released liftings are off the lattice of the data by one voxel or so,
        # which is more in depth where the surface is seen at a flat angle.
        return float(((first >= -2) & (last <= 2)).sum() / len(cells))

    assert len(cells) > 500
    assert share_on_surface(grid) > 0.6
    if name != 'whole':
        assert share_on_surface(FrustumGrid(**FINE_GRID)) < share_on_surface(grid) - 0.2

    placed = camera_to_grid(torch.tensor(results['K']), depth.shape, grid)
    of_lifting = (placed.minimum - placed.padding.floor()).numpy()
    of_grid = np.divide(grid.origin_metres, grid.voxel_size)
    assert np.abs(of_lifting - of_grid).max() <= 1.5
    if name != 'whole':
        assert abs(of_grid[0] + 64) > 2  # it had to move
