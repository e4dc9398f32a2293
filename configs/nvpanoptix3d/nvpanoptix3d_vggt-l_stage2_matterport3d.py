# Stage 2 on Matterport3D: the 3D part on top of a frozen stage 1.
_base_ = [
    './nvpanoptix3d_vggt-l.py',
    '../_base_/datasets/matterport3d_3d.py',
    '../_base_/schedules/poly_120k.py',
    '../_base_/default_runtime.py',
]
load_from = 'work_dirs/nvpanoptix3d_vggt-l_stage1_matterport3d/iter_120000.pth'
custom_hooks = [dict(type='CheckpointKeysHook', may_be_missing=['frustum_branch'])]

model = dict(
    label_space='matterport3d',
    data_preprocessor=dict(pad_value=0.0),  # black, 0 ... 255
    frozen=['backbone', 'pixel_decoder', 'panoptic_head'],
    frustum_branch=dict(
        type='FrustumBranch',
        object_mask_threshold=0.8,
        feature_projector=dict(type='FeatureProjector', in_channels=256, channels=256),
        surface_lifting=dict(type='SurfaceLifting', truncation=3),  # voxels
        occupancy_lifting=dict(type='OccupancyLifting'),
        decoder=dict(
            type='FrustumDecoder',
            in_channels=(2, 512, 13, 16),
            coarse_channels=None,  # published without multi-scale inputs
            query_dim=256,
            base_channels=16,
            output_channels=16,
            norm='per_voxel',
            truncation=3.0,  # voxels
        ),
        criterion=dict(
            type='FrustumCriterion',
            tudf_weight=10.0,
            occupancy_weights=(50.0, 25.0, 10.0),
            mask_weight=25.0,
            occupancy_bands=(8.0, 6.0, 12.0),
        ),
    ),
)
