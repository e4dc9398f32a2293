"""Same-shaped volumes of one scene: the 3D counterpart of ``PixelData``."""

from __future__ import annotations

import numpy as np
import torch
from mmengine.structures import BaseDataElement


class VolumeData(BaseDataElement):
    """Volumes over one ``X Y Z`` grid.

    Every data field is a tensor (or array) whose last three axes are the grid's; all
    fields must agree on them. Used fields: ``tudf`` (distance in voxels), ``semantic``
    (labels), ``instance_ids``, ``weights``, ``frustum_mask``, ``ids`` (panoptic).
    """

    def __setattr__(
        self, name: str, value: torch.Tensor | np.ndarray | set[str]
    ) -> None:
        if name in ('_metainfo_fields', '_data_fields'):
            super().__setattr__(name, value)
            return
        if not isinstance(value, torch.Tensor | np.ndarray):
            raise TypeError(
                f'VolumeData.{name} must be a tensor or an array, got {type(value)}'
            )
        if value.ndim < 3:
            raise ValueError(
                f'VolumeData.{name} must end in X Y Z, got shape {tuple(value.shape)}'
            )
        dims = tuple(value.shape[-3:])
        if self.dims is not None and dims != self.dims:
            raise ValueError(
                f'VolumeData.{name} has the grid {dims}, the other fields {self.dims}'
            )
        super().__setattr__(name, value)

    @property
    def dims(self) -> tuple[int, int, int] | None:
        """The grid that all fields share; ``None`` while empty."""
        for value in self.values():
            return tuple(value.shape[-3:])
        return None
