# Stage 2 of the tiny model on SynthRooms in Matterport3D's layout.
_base_ = [
    './nvpanoptix3d_tiny_frustum.py',
    '../_base_/datasets/synthmatterport_3d.py',
    '../_base_/schedules/tiny_3d.py',
    '../_base_/default_runtime.py',
]
load_from = 'work_dirs/nvpanoptix3d_tiny_stage1_synthmatterport/iter_6000.pth'
custom_hooks = [dict(type='CheckpointKeysHook', may_be_missing=['frustum_branch'])]
default_hooks = dict(checkpoint=dict(interval=100))

model = dict(
    label_space='matterport3d',
    data_preprocessor=dict(pad_value=0.0),  # black, 0 ... 255
    frustum_branch=dict(
        # Published without multi-scale inputs.
        decoder=dict(coarse_channels=None),
        criterion=dict(tudf_weight=10.0),
    ),
)
