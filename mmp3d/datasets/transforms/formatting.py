"""From the pipeline's dict to what the data preprocessor receives."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Shaped
from mmcv.transforms import BaseTransform
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from mmp3d.registry import TRANSFORMS
from mmp3d.structures import PanopticReconstructionSample, VolumeData

_META = (
    'sample_id',
    'img_path',
    'ori_shape',
    'img_shape',
    'K',
    'grid',
    'label_space',
    'loss_weight',
)


@TRANSFORMS.register_module()
class PackReconstructionInputs(BaseTransform):
    """Make ``inputs`` and ``data_samples`` of what the pipeline has loaded.

    ``inputs``: ``img`` (uint8 3 H W), ``K`` (float64 3 3), ``frustum_mask`` (bool
    X Y Z) in 3D, ``room_mask`` (bool h w) if loaded. ``data_samples``: a
    ``PanopticReconstructionSample`` with every ground-truth field that there is; in 2D
    also ``room_map``, if loaded.

    Args:
        with_3d: Pack volumes and frustum mask. A 2D pipeline that reads them only to
            derive targets switches it off: they are the bulk of a sample.
    """

    def __init__(self, with_3d: bool = True) -> None:
        self.with_3d = with_3d

    def transform(self, results: dict) -> dict:
        """Apply to one sample."""
        return {'inputs': self._inputs(results), 'data_samples': self._sample(results)}

    def _inputs(self, results: dict) -> dict[str, Tensor]:
        inputs = {
            'img': _tensor(results['img'].transpose(2, 0, 1)),
            'K': _tensor(results['K'].astype(np.float64)),
        }
        if self.with_3d and 'frustum_mask' in results:
            inputs['frustum_mask'] = _tensor(results['frustum_mask'])
        if 'room_mask' in results:
            inputs['room_mask'] = _tensor(results['room_mask'])
        return inputs

    def _sample(self, results: dict) -> PanopticReconstructionSample:
        metainfo = {key: results[key] for key in _META}
        for key in ('intrinsics_source', 'pad_shape', 'seed'):
            if key in results:
                metainfo[key] = results[key]
        sample = PanopticReconstructionSample(metainfo=metainfo)
        if 'gt_masks' in results:
            sample.gt_instances = InstanceData(
                labels=_tensor(results['gt_labels']),
                masks=_tensor(results['gt_masks']),
                instance_ids=_tensor(results['gt_instance_ids']),
            )
        for key in ('gt_depth_map', 'gt_plane_depth'):
            if key in results:
                sample.set_field(PixelData(depth=_tensor(results[key])[None]), key)
        if 'gt_plane_occupancy' in results:
            sample.gt_plane_occupancy = PixelData(
                occupancy=_tensor(results['gt_plane_occupancy'])
            )
        if 'gt_semantic_map' in results:
            sample.gt_panoptic_seg = PixelData(
                semantic=_tensor(results['gt_semantic_map'])[None],
                instance_ids=_tensor(results['gt_instance_map'])[None],
            )
        if self.with_3d:
            self._add_volume(sample, results)
        elif 'gt_room_map' in results:
            # In 3D the published system cuts the lifting to the room, not the depth.
            sample.room_map = PixelData(mask=_tensor(results['gt_room_map'])[None])
        return sample

    def _add_volume(self, sample: PanopticReconstructionSample, results: dict) -> None:
        volumes = {
            'tudf': 'gt_tudf',
            'semantic': 'gt_semantic_volume',
            'instance_ids': 'gt_instance_volume',
            'weights': 'gt_weights',
            'frustum_mask': 'frustum_mask',
        }
        found = {f: _tensor(results[k]) for f, k in volumes.items() if k in results}
        if found.keys() - {'frustum_mask'}:
            sample.gt_volume = VolumeData(**found)


def _tensor(array: Shaped[np.ndarray, ...] | Tensor) -> Tensor:
    if isinstance(array, Tensor):
        return array
    return torch.from_numpy(np.ascontiguousarray(array))
