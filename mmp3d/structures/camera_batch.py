"""What the models receive: images with their cameras and grids."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from mmp3d.structures.frustum_grid import FrustumGrid

# Fields of view in radians that an image of a scene may have: 5 to 150 degrees. EXIF
# or a camera head that says otherwise is not believed.
PLAUSIBLE_FIELD_OF_VIEW = (math.radians(5), math.radians(150))


@dataclass(frozen=True)
class CameraBatch:
    """A batch of posed views.

    Attributes:
        images: RGB in 0..1, padded at the right and at the bottom to one common size.
        K: Intrinsics in pixels of the images, float64. Padding does not change them.
        image_sizes: (height, width) of each sample before padding.
        grid: The voxel grid in front of the first view.
        frustum_mask: Voxels inside the viewing frustum; ``None`` in a 2D-only run.
        room_mask: Pixels of the reduced plane that belong to the room; ``None`` where
            the dataset has none.
        cam2world: Poses; ``None`` for single images.
    """

    images: Float[Tensor, 'B V 3 H W']
    K: Float[Tensor, 'B V 3 3']
    image_sizes: tuple[tuple[int, int], ...]
    grid: FrustumGrid
    frustum_mask: Bool[Tensor, 'B X Y Z'] | None = None
    room_mask: Bool[Tensor, 'B h w'] | None = None
    cam2world: Float[Tensor, 'B V 4 4'] | None = None

    @property
    def padded_size(self) -> tuple[int, int]:
        """(height, width) of ``images``."""
        return self.images.shape[-2], self.images.shape[-1]
