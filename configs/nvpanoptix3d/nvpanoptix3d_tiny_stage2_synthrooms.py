# Stage 2 of the tiny model on SynthRooms: the 3D part on top of a frozen stage 1.
_base_ = [
    './nvpanoptix3d_tiny_frustum.py',
    '../_base_/datasets/synthrooms_3d.py',
    '../_base_/schedules/tiny_3d.py',
    '../_base_/default_runtime.py',
]
load_from = 'work_dirs/nvpanoptix3d_tiny_stage1_synthrooms/iter_6000.pth'
custom_hooks = [dict(type='CheckpointKeysHook', may_be_missing=['frustum_branch'])]
default_hooks = dict(checkpoint=dict(interval=100))
