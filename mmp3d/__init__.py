"""mmp3d: panoptic 3D perception as a plugin of MMDetection3D.

Start reading at ``docs/architecture.md``; the first system lives in
``projects/NvPanoptix3D``.
"""

__version__ = '0.1.0'
