# Stage 1 of the tiny model, from scratch, on SynthRooms.
_base_ = [
    './nvpanoptix3d_tiny.py',
    '../_base_/datasets/synthrooms_2d.py',
    '../_base_/schedules/tiny.py',
    '../_base_/default_runtime.py',
]
default_hooks = dict(checkpoint=dict(interval=500))
