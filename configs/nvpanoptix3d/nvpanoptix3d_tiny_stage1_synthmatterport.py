# Stage 1 of the tiny model, from scratch, on SynthRooms in Matterport3D's layout.
_base_ = [
    './nvpanoptix3d_tiny.py',
    '../_base_/datasets/synthmatterport_2d.py',
    '../_base_/schedules/tiny.py',
    '../_base_/default_runtime.py',
]
default_hooks = dict(checkpoint=dict(interval=500))
model = dict(label_space='matterport3d', data_preprocessor=dict(pad_value=0.0))
