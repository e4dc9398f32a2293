# Stage 2 on 3D-Front: the 3D part on top of a frozen stage 1.
_base_ = [
    './nvpanoptix3d_vggt-l_frustum.py',
    '../_base_/datasets/front3d_3d.py',
    '../_base_/schedules/poly_110k.py',
    '../_base_/default_runtime.py',
]
load_from = 'work_dirs/nvpanoptix3d_vggt-l_stage1_front3d/iter_180000.pth'
custom_hooks = [dict(type='CheckpointKeysHook', may_be_missing=['frustum_branch'])]
