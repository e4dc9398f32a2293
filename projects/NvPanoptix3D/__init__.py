"""NvPanoptix3D; start reading at ``nvpanoptix3d/detector.py``."""
