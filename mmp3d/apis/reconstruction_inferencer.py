"""Images in, reconstructions out, in a few lines of Python."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import mmengine
import numpy as np
import torch
from jaxtyping import Float
from mmcv.transforms import BaseTransform, Compose
from mmengine.config import Config, ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.utils import import_modules_from_strings

from mmp3d.datasets.transforms import (
    LoadFreeImage,
    LoadFrustumMask,
    PackReconstructionInputs,
    ShortestEdgeResize,
)
from mmp3d.datasets.transforms.geometric import shortest_edge_size
from mmp3d.engine.checkpoint_loading import load_local_checkpoint
from mmp3d.engine.hooks.checkpoint_keys_hook import check_checkpoint_keys
from mmp3d.geometry import UnknownCameraError, scale_intrinsics
from mmp3d.registry import DATASETS, INFERENCERS, MODELS, TRANSFORMS
from mmp3d.structures import PanopticReconstructionSample

Image = str | Path | np.ndarray


@INFERENCERS.register_module()
class PanopticReconstructionInferencer:
    """Reconstruct scenes from single images.

    ::

        infer = PanopticReconstructionInferencer(config, checkpoint)
        for sample in infer(['a.png', 'b.jpg']):
            print(sample.pred_panoptic_seg.segments)

    Args:
        config: Path of a config, or the config.
        checkpoint: A ``.pth`` of a runner or ``.safetensors``. ``None``: random
            weights, for tests.
        device: 'cpu', 'cuda', 'cuda:1' ...; ``None``: the GPU where there is one.
        camera: Where the camera of an image comes from if no intrinsics are given:
            'exif', 'camera_head' (what the backbone predicts), 'dataset' (what the
            model was trained with), or 'auto': the first of them that is to be had.
            'auto' asks a camera head only if a checkpoint was loaded. The choice is in
            ``intrinsics_source`` of the sample.
        fit: How an image of another aspect ratio is brought to the size of the model:
            'stretch' (as published), 'pad', or 'auto': 'pad' where stretching changes
            the aspect ratio by more than a tenth.

    Raises:
        FileNotFoundError: If the config or the checkpoint does not exist.
        ValueError: If the checkpoint does not fit the config's model, or the camera
            shall be predicted by a model without a camera head.
    """

    def __init__(
        self,
        config: str | Path | Config,
        checkpoint: str | Path | None = None,
        device: str | None = None,
        camera: str = 'auto',
        fit: str = 'auto',
    ) -> None:
        if not isinstance(config, Config):
            if not Path(config).is_file():
                raise FileNotFoundError(f'no config at {config}; see configs/')
            config = Config.fromfile(config)
        for module in config.get('custom_imports', {}).get('imports', ()):
            import_modules_from_strings(module)
        init_default_scope(config.get('default_scope', 'mmp3d'))
        self.cfg = config
        self.device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
        self.camera = camera
        has_head = config.model.backbone.get('camera_head') is not None
        if camera == 'camera_head' and not has_head:
            raise ValueError(
                "camera='camera_head' needs a model with a camera head, but "
                'model.backbone.camera_head of the config is None. Choose another '
                'camera.'
            )
        trained_head = has_head and checkpoint is not None
        self.pipeline = Compose(self._pipeline_steps(fit, trained_head))
        self.model = self._build_model(checkpoint)

    def _pipeline_steps(self, fit: str, camera_head: bool) -> list[BaseTransform]:
        dataset = self.cfg.test_dataloader.dataset
        K, target_size = model_camera(dataset)
        return [
            LoadFreeImage(
                target_size=target_size,
                K=K,
                grid=dataset.get('grid', {}),
                label_space=dataset.get('label_space', 'front3d'),
                fit=fit,
                camera=self.camera,
                camera_head=camera_head,
            ),
            LoadFrustumMask(),
            PackReconstructionInputs(with_3d='frustum_branch' in self.cfg.model),
        ]

    def _build_model(self, checkpoint: str | Path | None) -> torch.nn.Module:
        model = MODELS.build(self.cfg.model)
        if checkpoint is not None:
            loaded = load_local_checkpoint(str(checkpoint))
            state = loaded.get('state_dict', loaded)
            check_checkpoint_keys(model, state)
            model.load_state_dict(state)
        return model.to(self.device).eval()

    def __call__(
        self,
        images: Image | Sequence[Image],
        intrinsics: Sequence[float] | np.ndarray | None = None,
        batch_size: int = 1,
        show_progress: bool = False,
    ) -> list[PanopticReconstructionSample]:
        """Reconstruct images.

        Args:
            images: Paths, or RGB arrays ``H W 3`` uint8.
            intrinsics: (fx, fy, cx, cy) or a 3x3 matrix in pixels of the images as they
                are on disk, upright; ``None``: as ``camera`` of the inferencer says.
            batch_size: Images per forward pass.
            show_progress: Show a progress bar.

        Returns:
            One sample per image, predictions in main memory.
        """
        if isinstance(images, str | Path | np.ndarray):
            images = [images]
        batches = range(0, len(images), batch_size)
        if show_progress:
            batches = mmengine.track_iter_progress(list(batches))
        samples = []
        for start in batches:
            chunk = images[start : start + batch_size]
            packed = [self.preprocess(image, intrinsics) for image in chunk]
            # A batch has one grid, and the grid follows the camera.
            for _, alike in groupby(packed, key=lambda p: p['data_samples'].grid):
                samples += self.forward(list(alike))
        return samples

    def preprocess(
        self, image: Image, intrinsics: Sequence[float] | np.ndarray | None = None
    ) -> dict:
        """Run the pipeline on one image.

        Raises:
            ValueError: If the intrinsics have another form than documented.
        """
        results = dict(img_path='<array>', sample_id='array')
        if isinstance(image, np.ndarray):
            results['img'] = image
        else:
            path = Path(image)
            results.update(img_path=str(path), sample_id=path.stem)
        if intrinsics is not None:
            results['K'] = intrinsics_matrix(intrinsics)
        return self.pipeline(results)

    @torch.no_grad()
    def forward(self, packed: Sequence[dict]) -> list[PanopticReconstructionSample]:
        """Run the model on packed samples, all with the same grid.

        Raises:
            UnknownCameraError: If the camera shall be predicted, and what was predicted
                is not plausible.
        """
        samples = self.model.test_step(pseudo_collate(list(packed)))
        if self.camera == 'camera_head':
            _check_cameras(samples)
        return [_to_cpu(sample) for sample in samples]


def model_camera(
    dataset: ConfigDict,
) -> tuple[Float[np.ndarray, '3 3'], tuple[int, int]]:
    """Give what a model is tested with: a camera and the (height, width) of images.

    Args:
        dataset: Config of the test dataset. Its ``target_size`` and the
            ``ShortestEdgeResize`` of its pipeline count.

    Returns:
        K for images of unknown camera, in pixels of that size.
    """
    K, camera_size = DATASETS.get(dataset.type).default_camera()
    size = tuple(dataset.get('target_size') or camera_size)
    for step in dataset.get('pipeline', ()):
        if step['type'] == ShortestEdgeResize.__name__:
            resize = TRANSFORMS.build(step)
            size = shortest_edge_size(size, resize.short_edges[0], resize.max_long_edge)
    return scale_intrinsics(K, camera_size, size), size


def intrinsics_matrix(intrinsics: Sequence[float] | np.ndarray) -> np.ndarray:
    """Make a 3x3 matrix of (fx, fy, cx, cy) or of a matrix.

    Raises:
        ValueError: If it is neither, or a focal length is not positive.
    """
    values = np.asarray(intrinsics, dtype=np.float64)
    if values.shape == (4,):
        fx, fy, cx, cy = values
        values = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
    if values.shape != (3, 3) or not (values[0, 0] > 0 and values[1, 1] > 0):
        raise ValueError(
            'intrinsics must be (fx, fy, cx, cy) or a 3x3 matrix with positive focal '
            f'lengths, in pixels of the image; got {np.asarray(intrinsics).tolist()}'
        )
    return values


def _check_cameras(samples: Sequence[PanopticReconstructionSample]) -> None:
    for sample in samples:
        if sample.intrinsics_source == 'dataset':
            degrees = torch.rad2deg(sample.pred_pose_encoding[7:]).tolist()
            raise UnknownCameraError(
                f'{sample.img_path}: the camera head predicts a field of view of '
                f'{degrees[0]:.1f} x {degrees[1]:.1f} degrees (height x width), which '
                'no image has. Give the intrinsics, or choose another camera.'
            )


def _to_cpu(sample: PanopticReconstructionSample) -> PanopticReconstructionSample:
    result = sample.cpu()
    for name in ('pred_panoptic_seg', 'pred_volume_seg'):
        if name in sample:
            setattr(result, name, sample.get(name).cpu())
    return result
