# The 3D part at its published size, on top of a frozen stage 1.
_base_ = './nvpanoptix3d_vggt-l.py'
model = dict(
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
            coarse_channels=272,
            query_dim=256,
            base_channels=16,
            output_channels=16,
            norm='per_voxel',
            truncation=3.0,  # voxels
        ),
        criterion=dict(
            type='FrustumCriterion',
            tudf_weight=5.0,
            occupancy_weights=(50.0, 25.0, 10.0),
            mask_weight=25.0,
            occupancy_bands=(8.0, 6.0, 12.0),  # voxels
        ),
    ),
)
