# The 3D part of the tiny model, on top of a frozen stage 1.
_base_ = './nvpanoptix3d_tiny.py'
model = dict(
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
            coarse_channels=112,
            query_dim=96,
            base_channels=8,
            output_channels=8,
            norm='per_voxel',
            truncation=3.0,  # voxels
        ),
        criterion=dict(
            type='FrustumCriterion',
            tudf_weight=5.0,
            occupancy_weights=(50.0, 25.0, 10.0),
            mask_weight=25.0,
            occupancy_bands=(4.0, 3.0, 2.0),  # voxels
            tudf_target_limit=3.0,
        ),
    ),
)
