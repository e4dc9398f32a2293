# Stage 2 on Matterport3D: the 3D part on top of a frozen stage 1.
_base_ = [
    './nvpanoptix3d_vggt-l_frustum.py',
    '../_base_/datasets/matterport3d_3d.py',
    '../_base_/schedules/poly_120k.py',
    '../_base_/default_runtime.py',
]
load_from = 'work_dirs/nvpanoptix3d_vggt-l_stage1_matterport3d/iter_120000.pth'
custom_hooks = [dict(type='CheckpointKeysHook', may_be_missing=['frustum_branch'])]

model = dict(
    label_space='matterport3d',
    data_preprocessor=dict(pad_value=0.0),  # black, 0 ... 255
    frustum_branch=dict(
        # Published without multi-scale inputs.
        decoder=dict(coarse_channels=None),
        criterion=dict(tudf_weight=10.0),
    ),
)
