"""Change colours only."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import UInt8
from mmcv.transforms import BaseTransform

from mmp3d.registry import TRANSFORMS


@TRANSFORMS.register_module()
class DistortColours(BaseTransform):
    """Change brightness, contrast, saturation and hue, each with probability 1/2.

    Contrast comes either before or after the other two. mmdet's
    ``PhotoMetricDistortion`` is made for BGR, also permutes the channels and leaves
    floats outside 0..255, so it is not used.

    Args:
        brightness: Largest shift on the scale 0..255.
        contrast: Smallest and largest factor.
        saturation: Smallest and largest factor.
        hue: Largest shift in units of two degrees (0..180 is the full circle).

    Source: Liu et al., SSD: Single Shot MultiBox Detector, ECCV 2016, section 2.2.
    """

    def __init__(
        self,
        brightness: float = 32.0,
        contrast: tuple[float, float] = (0.5, 1.5),
        saturation: tuple[float, float] = (0.5, 1.5),
        hue: int = 18,
    ) -> None:
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.hue = hue

    def transform(self, results: dict) -> dict:
        """Apply to one sample."""
        image = results['img']
        if _coin():
            image = _affine(image, 1.0, np.random.uniform(-1, 1) * self.brightness)
        contrast_first = _coin()
        if contrast_first:
            image = self._change_contrast(image)
        image = self._change_saturation_and_hue(image)
        if not contrast_first:
            image = self._change_contrast(image)
        results['img'] = image
        return results

    def _change_contrast(
        self, image: UInt8[np.ndarray, 'H W 3']
    ) -> UInt8[np.ndarray, 'H W 3']:
        if not _coin():
            return image
        return _affine(image, np.random.uniform(*self.contrast), 0.0)

    def _change_saturation_and_hue(
        self, image: UInt8[np.ndarray, 'H W 3']
    ) -> UInt8[np.ndarray, 'H W 3']:
        change_saturation, change_hue = _coin(), _coin()
        if not change_saturation and not change_hue:
            return image
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        if change_saturation:
            factor = np.random.uniform(*self.saturation)
            hsv[..., 1] = _affine(hsv[..., 1], factor, 0.0)
        if change_hue:
            shift = np.random.randint(-self.hue, self.hue + 1)
            hsv[..., 0] = (hsv[..., 0].astype(np.int16) + shift) % 180
        return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def _coin() -> bool:
    return np.random.rand() < 0.5


def _affine(
    values: UInt8[np.ndarray, '*shape'], factor: float, shift: float
) -> UInt8[np.ndarray, '*shape']:
    changed = values.astype(np.float32) * factor + shift
    return np.clip(changed, 0, 255).astype(np.uint8)
