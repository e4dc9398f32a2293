"""Meshes on disk."""

from __future__ import annotations

import numpy as np
import trimesh
from jaxtyping import UInt8

from mmp3d.fileio.errors import PathLike
from mmp3d.fileio.paths import atomic_write
from mmp3d.structures import TriangleMesh


def write_glb(
    path: PathLike, mesh: TriangleMesh, colors: UInt8[np.ndarray, 'N 3']
) -> None:
    """Write a mesh with one colour per vertex as binary glTF, for any 3D viewer.

    glTF has x right, y up and z towards the viewer, in metres. The camera frame (x
    right, y down, z forward) is turned by 180 degrees about x: (x, y, z) becomes (x,
    -y, -z), so that a viewer opens looking from the camera into the scene.

    Args:
        path: File to write; its folder is made.
        mesh: Surface in the camera frame, in metres.
        colors: RGB of every vertex.

    Raises:
        ValueError: If there is not one colour per vertex.
    """
    if colors.shape != (len(mesh.vertices), 3):
        raise ValueError(
            f'{path}: expected one RGB colour for each of the {len(mesh.vertices)} '
            f'vertices, got shape {colors.shape}'
        )
    turn = np.array([1, -1, -1], np.float32)
    if len(mesh.faces) == 0:
        scene = trimesh.Scene()  # valid glTF, where a mesh without faces is none
        scene.metadata['empty'] = True
    else:
        scene = trimesh.Trimesh(
            vertices=mesh.vertices * turn,
            faces=mesh.faces,
            vertex_normals=mesh.normals * turn,
            vertex_colors=colors,
            process=False,
        )
    with atomic_write(path) as temporary:
        temporary.write_bytes(
            trimesh.exchange.gltf.export_glb(scene, include_normals=True)
        )
