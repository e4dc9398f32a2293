"""A surface with a segment per vertex."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class TriangleMesh:
    """A surface in the camera frame (x right, y down, z forward).

    Attributes:
        vertices: Points in metres.
        faces: Vertices of every triangle, counter-clockwise seen from the free side.
        normals: Unit normals that point to the free side.
        ids: Segment of every vertex; 0 = unassigned.
    """

    vertices: Float[np.ndarray, 'N 3']
    faces: Int[np.ndarray, 'M 3']
    normals: Float[np.ndarray, 'N 3']
    ids: Int[np.ndarray, ' N']

    def keep_faces(self, keep: Bool[np.ndarray, ' M']) -> TriangleMesh:
        """The mesh with some of its faces and the vertices that these need."""
        faces = self.faces[keep]
        used = np.zeros(len(self.vertices), bool)
        used[faces] = True
        renumbered = np.cumsum(used) - 1
        return TriangleMesh(
            self.vertices[used],
            renumbered[faces].astype(self.faces.dtype),
            self.normals[used],
            self.ids[used],
        )
