"""Write what a model predicted for one image: pictures, arrays and meshes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from mmp3d.fileio import (
    write_exr,
    write_glb,
    write_gray16,
    write_image,
    write_json,
    write_npz,
)
from mmp3d.geometry.mesh import mesh_from_volume
from mmp3d.structures import PanopticReconstructionSample, PanopticSegmentation
from mmp3d.visualization import (
    colorize_depth,
    colorize_mesh,
    colorize_panoptic,
    sample_panel,
)


def write_results(
    sample: PanopticReconstructionSample,
    image: UInt8[np.ndarray, 'H W 3'],
    folder: Path,
) -> dict[str, Path]:
    """Write the predictions of one image into a folder.

    2D files: ``panoptic_2d.png`` (colours), ``panoptic_2d_ids.png`` (16 bit, 0 = void),
    ``depth.png`` (colours), ``depth.exr`` (z-depth in metres), ``panel.png``.
    ``result.json``: what the ids mean, the camera and where it comes from, the grid.
    All 2D files have the size of the predictions, ``image_size``: that at which the
    model works, padding cut off, or that of the file after ``at_original_size``. ``K``
    is in their pixels.

    With a 3D prediction also ``volumes.npz`` and two meshes, ``mesh.glb`` coloured by
    class and ``mesh_instances.glb`` by instance. The arrays of ``volumes.npz`` are over
    ``X Y Z`` (x right, y down, z forward): ``geometry`` float32, unsigned distance in
    voxels, truncated; ``semantic`` uint8 labels and ``panoptic`` int32 ids, 0 = free
    space; ``origin`` (3), camera point of index (0, 0, 0) in metres; ``voxel_size`` in
    metres; ``K`` (3, 3) in pixels of the 2D files.

    Args:
        sample: One image's predictions, in main memory.
        image: RGB at the resolution of the 2D predictions.
        folder: Where to write; made if it is not there.

    Returns:
        File paths by name without suffix.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    space = sample.label_space
    panoptic = sample.pred_panoptic_seg
    depth = sample.pred_depth_map.depth[0].cpu().numpy().astype(np.float32)
    ids = panoptic.ids.cpu().numpy()
    paths = {
        name: folder / name
        for name in ('panoptic_2d.png', 'panoptic_2d_ids.png', 'depth.png', 'depth.exr')
    }
    write_image(paths['panoptic_2d.png'], colorize_panoptic(panoptic.cpu(), space))
    write_gray16(paths['panoptic_2d_ids.png'], ids.astype(np.uint16))
    write_image(paths['depth.png'], colorize_depth(depth))
    write_exr(paths['depth.exr'], depth)

    result = dict(
        image=str(sample.img_path),
        original_image_size=[int(n) for n in sample.ori_shape],
        image_size=[int(n) for n in ids.shape],
        K=np.asarray(sample.K).tolist(),
        intrinsics_source=sample.get('intrinsics_source', 'dataset'),
        classes=list(space.classes),
        segments_2d=_describe(panoptic, space.classes),
    )
    if 'pred_volume_seg' in sample:
        paths.update(_write_volumes(sample, folder))
        grid = sample.grid
        result['grid'] = dict(
            dims=list(grid.dims),
            voxel_size=grid.voxel_size,
            origin=list(grid.origin_metres),
        )
        result['segments_3d'] = _describe(sample.pred_volume_seg, space.classes)
    paths['panel.png'] = folder / 'panel.png'
    write_image(paths['panel.png'], sample_panel(sample, image, which='pred'))
    paths['result.json'] = folder / 'result.json'
    write_json(paths['result.json'], result)
    return {Path(name).stem: path for name, path in paths.items()}


def _describe(panoptic: PanopticSegmentation, classes: tuple[str, ...]) -> list[dict]:
    sizes = np.bincount(panoptic.ids.cpu().numpy().ravel())
    return [
        dict(
            id=segment.id,
            label=segment.label,
            name=classes[segment.label],
            is_thing=segment.is_thing,
            score=round(float(segment.score), 4),
            size=int(sizes[segment.id]) if segment.id < len(sizes) else 0,
        )
        for segment in panoptic.segments
    ]


def _write_volumes(
    sample: PanopticReconstructionSample, folder: Path
) -> dict[str, Path]:
    grid, space = sample.grid, sample.label_space
    tudf = sample.pred_volume.tudf.cpu().numpy().astype(np.float32)
    panoptic = sample.pred_volume_seg.cpu()
    paths = {
        name: folder / name
        for name in ('volumes.npz', 'mesh.glb', 'mesh_instances.glb')
    }
    write_npz(
        paths['volumes.npz'],
        geometry=tudf,
        semantic=panoptic.semantic().numpy().astype(np.uint8),
        panoptic=panoptic.ids.numpy().astype(np.int32),
        origin=np.asarray(grid.origin_metres, dtype=np.float64),
        voxel_size=np.asarray(grid.voxel_size, dtype=np.float64),
        K=np.asarray(sample.K, dtype=np.float64),
    )
    mesh = mesh_from_volume(tudf, panoptic.ids.numpy(), grid)
    for name, by in (('mesh.glb', 'class'), ('mesh_instances.glb', 'instance')):
        write_glb(paths[name], mesh, colorize_mesh(mesh, panoptic, space, by=by))
    return paths
