"""Pixel decoders: from a backbone's pyramid to per-pixel embeddings and query memories.

May import the rooms below ``mmp3d.models`` and ``mmp3d.models.layers``.
Start reading at ``ms_deform_attn_pixel_decoder.py``.
"""

from mmp3d.models.pixel_decoders.ms_deform_attn_pixel_decoder import (
    MSDeformAttnPixelDecoder,
)

__all__ = ['MSDeformAttnPixelDecoder']
