"""Write SynthRooms in parallel and resumable; here in 3D-Front's layout.

Volumes are stored like 3D-Front's, rotated by 180 degrees about the optical axis: axes
x and y are flipped, so that the loader's flip gives the camera-aligned volumes back.

In ``data/<scene>/``:

- ``rgb_<id>.png``: uint8 240 x 320 x 3
- ``depth_<id>.exr``: float32 240 x 320, metres
- ``segmap_<id>.mapped.npz``: uint8 240 x 320 x 2: class, instance
- ``geometry_<id>.npz``: float16 X Y Z, voxels; rounding error at most 0.004
- ``segmentation_<id>.mapped.npz``: uint8 2 x X Y Z: class, instance
- ``weighting_<id>.npz``: float16 X Y Z

In ``meta/``:

- ``train.json``, ``val.json``, ``test.json``: lists of images
- ``colormap.json``: label map
- ``frustum_mask.npz``: bool X Y Z, stored orientation, key ``mask``
- ``synthrooms.json``: what was generated: version, seed, grid, counts

Things are numbered from 1 in a room; pixels and voxels share the numbers. Stuff has
class wall, floor or ceiling and number 0. 3D-Front has no ceiling in its ground truth:
readers that follow it map class 12 to 0.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Shaped

from mmp3d.fileio import (
    IndexRecord,
    read_json,
    write_exr,
    write_image,
    write_index,
    write_json,
    write_label_map,
    write_npz,
)
from mmp3d.structures import FRONT3D
from mmp3d.testing.synth_rooms.generator import (
    SPLITS,
    SynthRoomsSpec,
    SynthSample,
    generate_sample,
    scene_name,
    visible_frustum,
)
from mmp3d.testing.synth_rooms.viewpoint import IMAGE_SIZE
from mmp3d.utils import check_choice

_RECORD = 'synthrooms.json'


@dataclass(frozen=True)
class Layout:
    """How a dataset's files are named and written.

    Attributes:
        name: Recorded in the dataset; a folder holds one layout.
        image_name: Scene id and image id of image number i of a split.
        sample_files: Path of every file of one image.
        write_sample: Writes those files.
        write_meta: Writes what all images share, indices aside.
    """

    name: str
    image_name: Callable[[str, int, SynthRoomsSpec], tuple[str, str]]
    sample_files: Callable[[Path, str, str], dict[str, Path]]
    write_sample: Callable[[Path, str, str, SynthSample, SynthRoomsSpec], None]
    write_meta: Callable[[Path, SynthRoomsSpec], None]


@dataclass(frozen=True)
class Job:
    """One image to make.

    Attributes:
        layout: How it is written.
        root: Root of the dataset.
        spec: What the dataset is made from.
        split: Its split.
        index: Its number in the split.
    """

    layout: Layout
    root: Path
    spec: SynthRoomsSpec
    split: str
    index: int


def sample_files(root: Path, scene_id: str, image_id: str) -> dict[str, Path]:
    """Path of every file of one image."""
    folder = Path(root) / 'data' / scene_id
    return {
        'rgb': folder / f'rgb_{image_id}.png',
        'depth': folder / f'depth_{image_id}.exr',
        'segmap': folder / f'segmap_{image_id}.mapped.npz',
        'geometry': folder / f'geometry_{image_id}.npz',
        'segmentation': folder / f'segmentation_{image_id}.mapped.npz',
        'weighting': folder / f'weighting_{image_id}.npz',
    }


def write_sample(root: Path, scene_id: str, image_id: str, sample: SynthSample) -> None:
    """Write the six files of one image."""
    files = sample_files(root, scene_id, image_id)
    picture, volumes = sample.picture, sample.volumes
    write_image(files['rgb'], picture.rgb)
    write_exr(files['depth'], picture.depth)
    segmap = np.stack([picture.semantic, picture.instance_ids], axis=-1)
    write_npz(files['segmap'], data=segmap)
    write_npz(files['geometry'], data=_stored(volumes.tudf.astype(np.float16)))
    labels = [_stored(volumes.semantic), _stored(volumes.instance_ids)]
    write_npz(files['segmentation'], data=np.stack(labels))
    write_npz(files['weighting'], data=_stored(volumes.weights.astype(np.float16)))


def _stored(volume: Shaped[np.ndarray, 'X Y Z']) -> Shaped[np.ndarray, 'X Y Z']:
    """Turn a camera-aligned volume into 3D-Front's stored orientation."""
    return np.ascontiguousarray(volume[::-1, ::-1])


def _write_front3d(
    root: Path,
    scene_id: str,
    image_id: str,
    sample: SynthSample,
    _spec: SynthRoomsSpec,
) -> None:
    write_sample(root, scene_id, image_id, sample)


def _write_frustum_mask(root: Path, spec: SynthRoomsSpec) -> None:
    mask = _stored(visible_frustum(spec.grid))
    write_npz(root / 'meta' / 'frustum_mask.npz', mask=mask)


FRONT3D_LAYOUT = Layout(
    'front3d', scene_name, sample_files, _write_front3d, _write_frustum_mask
)


def make_dataset(
    root: Path,
    spec: SynthRoomsSpec,
    counts: dict[str, int],
    workers: int = 1,
    layout: Layout = FRONT3D_LAYOUT,
) -> Iterator[Job]:
    """Write a dataset; images that are complete already are skipped.

    Args:
        root: Folder to write to.
        spec: What to generate.
        counts: Number of images of each split.
        workers: Processes; the files do not depend on their number.
        layout: How the files are named and written.

    Yields:
        Each image when it is complete, existing ones first.

    Raises:
        ValueError: If the folder holds a dataset of another spec or layout, a split is
            unknown or a count negative.
    """
    root = Path(root)
    for split, count in counts.items():
        check_choice('split', split, SPLITS)
        if count < 0:
            raise ValueError(f'number of {split} images must be >= 0, got {count}')
    check_resumable(root, spec, layout)
    record = {**spec.to_json(), 'layout': layout.name, 'images': dict(counts)}
    write_json(root / 'meta' / _RECORD, record)
    jobs = [
        Job(layout, root, spec, s, i) for s in SPLITS for i in range(counts.get(s, 0))
    ]
    missing = []
    for job in jobs:
        if _is_complete(job):
            yield job
        else:
            missing.append(job)
    yield from _run_jobs(missing, workers)
    _write_meta(root, spec, counts, layout)


def check_resumable(
    root: Path, spec: SynthRoomsSpec, layout: Layout = FRONT3D_LAYOUT
) -> None:
    """Raise if a folder holds a dataset of another spec or layout.

    Raises:
        ValueError: If it does, with the parameters that differ.
    """
    path = Path(root) / 'meta' / _RECORD
    if not path.exists():
        return
    # Folders of before there were two layouts do not name theirs.
    there = {'layout': FRONT3D_LAYOUT.name, **read_json(path)}
    wanted = {**spec.to_json(), 'layout': layout.name}
    differing = [k for k in wanted if there.get(k) != wanted[k]]
    if differing:
        raise ValueError(
            f'{root} holds SynthRooms made with '
            + ', '.join(f'{k} {there.get(k)}' for k in differing)
            + '; asked for '
            + ', '.join(f'{k} {wanted[k]}' for k in differing)
            + '. Choose another folder, remove this one, or ask for what it holds.'
        )


def _is_complete(job: Job) -> bool:
    names = job.layout.image_name(job.split, job.index, job.spec)
    files = job.layout.sample_files(job.root, *names)
    return all(path.exists() for path in files.values())


def _make(job: Job) -> Job:
    sample = generate_sample(job.split, job.index, job.spec)
    names = job.layout.image_name(job.split, job.index, job.spec)
    job.layout.write_sample(job.root, *names, sample, job.spec)
    return job


def _run_jobs(jobs: list[Job], workers: int) -> Iterator[Job]:
    if workers <= 1 or len(jobs) < 2:
        yield from map(_make, jobs)
        return
    # Fresh processes: a forked copy of a threaded torch may hang.
    context = multiprocessing.get_context('spawn')
    with context.Pool(min(workers, len(jobs)), initializer=_use_one_thread) as pool:
        yield from pool.imap_unordered(_make, jobs)


def _use_one_thread() -> None:
    torch.set_num_threads(1)


def _write_meta(
    root: Path, spec: SynthRoomsSpec, counts: dict[str, int], layout: Layout
) -> None:
    height, width = IMAGE_SIZE
    for split in SPLITS:
        names = [layout.image_name(split, i, spec) for i in range(counts.get(split, 0))]
        records = [IndexRecord(scene, image, height, width) for scene, image in names]
        write_index(root / 'meta' / f'{split}.json', records)
    write_label_map(root / 'meta' / 'colormap.json', FRONT3D)
    layout.write_meta(root, spec)
