"""What a pipeline with volumes may contain."""

from __future__ import annotations

from collections.abc import Callable, Sequence

# Steps of mmcv and mmdet that leave every pixel where it is.
_ONLY_COLOURS = frozenset(
    {
        'AutoContrast',
        'Brightness',
        'Color',
        'ColorTransform',
        'Contrast',
        'Corrupt',
        'Equalize',
        'Invert',
        'PhotoMetricDistortion',
        'Posterize',
        'Sharpness',
        'Solarize',
        'SolarizeAdd',
        'YOLOXHSVRandomAug',
    }
)


def refuse_untrue_volumes(pipeline: Sequence[Callable[[dict], dict]]) -> None:
    """Raise if a step would move pixels and leave camera and volumes behind.

    Raises:
        ValueError: If volumes are loaded and a step of mmcv or mmdet may change the
            image's geometry: such steps know nothing of ``K``, frustum and volumes.
    """
    names = [type(step).__name__ for step in pipeline]
    if 'LoadVolumes' not in names:
        return
    for step, name in zip(pipeline, names, strict=True):
        host = type(step).__module__.split('.')[0]
        if host in ('mmcv', 'mmdet', 'mmdet3d') and name not in _ONLY_COLOURS:
            raise ValueError(
                f'{host}.{name} in a pipeline with LoadVolumes: it may move pixels, '
                'and intrinsics, frustum mask and volumes would no longer fit. '
                'Use ShortestEdgeResize, RandomCropReconstruction or '
                'RandomFlipReconstruction, which move them along; of '
                f'{host} only colour changes are allowed: {sorted(_ONLY_COLOURS)}'
            )
