# Stage 2 of the tiny model on SynthRooms in Matterport3D's layout: the 3D part on
# top of a frozen stage 1.
_base_ = [
    './nvpanoptix3d_tiny.py',
    '../_base_/datasets/synthmatterport_3d.py',
    '../_base_/schedules/tiny.py',
    '../_base_/default_runtime.py',
]
load_from = 'work_dirs/nvpanoptix3d_tiny_stage1_synthmatterport/iter_2400.pth'
custom_hooks = [dict(type='CheckpointKeysHook', may_be_missing=['frustum_branch'])]
default_hooks = dict(checkpoint=dict(interval=200))
train_cfg = dict(max_iters=800, val_interval=400)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=50, by_epoch=False),
    dict(type='PolyLR', power=0.9, eta_min=0.0, begin=50, end=800, by_epoch=False),
]

model = dict(
    label_space='matterport3d',
    data_preprocessor=dict(pad_value=0.0),  # black, 0 ... 255
    frozen=['backbone', 'pixel_decoder', 'panoptic_head'],
    frustum_branch=dict(
        type='FrustumBranch',
        object_mask_threshold=0.5,
        feature_projector=dict(type='FeatureProjector', in_channels=32, channels=32),
        surface_lifting=dict(type='SurfaceLifting', truncation=3),  # voxels
        occupancy_lifting=dict(type='OccupancyLifting'),
        decoder=dict(
            type='FrustumDecoder',
            in_channels=(2, 128, 13, 16),
            coarse_channels=None,
            query_dim=96,
            base_channels=8,
            output_channels=12,
            norm='per_voxel',
            truncation=3.0,  # voxels
        ),
        criterion=dict(
            type='FrustumCriterion',
            tudf_weight=10.0,
            occupancy_weights=(50.0, 25.0, 10.0),
            mask_weight=10.0,
            occupancy_bands=(8.0, 6.0, 3.0),  # voxels
            tudf_target_limit=3.0,
        ),
    ),
)
