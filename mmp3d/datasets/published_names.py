"""The dataset names of NVIDIA's specs, and what stands for them here."""

from __future__ import annotations

from mmp3d.utils import nearest_name

_TYPES = {'front3d': 'Front3DDataset', 'matterport': 'Matterport3DDataset'}
_SCHEMA_ONLY = ('synthetic_hospital', 'synthetic_warehouse')


def dataset_type(name: str) -> str:
    """Give the registered type of a dataset that an NVIDIA spec names.

    Raises:
        ValueError: If there is none, with what can be done.

    Differs: ``synthetic_hospital`` and ``synthetic_warehouse`` pass NVIDIA's schema and
    fail in its data module, which has no files for them; here they fail at once.
    """
    if name in _TYPES:
        return _TYPES[name]
    known = f'supported: {sorted(_TYPES)}'
    if name in _SCHEMA_ONLY:
        raise ValueError(
            f'dataset {name!r} is a name of the published schema without a published '
            f'reader, index or file; {known}. Write your images in the 3D-Front layout '
            '(rgb_<id>.png, depth_<id>.exr in metres, segmap_<id>.mapped.npz with '
            'class and instance channels; for 3D also geometry, segmentation and '
            'weighting npz) and use front3d; volumes that are not rotated need '
            'LoadVolumes(stored_flipped=False).'
        )
    raise ValueError(f'unknown dataset {name!r}{nearest_name(name, _TYPES)} {known}')
