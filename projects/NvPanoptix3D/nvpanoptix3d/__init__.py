"""NvPanoptix3D: what belongs to this system only; importing it registers its parts.

May import everything of ``mmp3d``, and no other project. Start reading at
``detector.py``: it is the straight line.
"""
