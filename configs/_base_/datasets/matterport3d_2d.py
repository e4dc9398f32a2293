# Matterport3D, images only: stage 1.
# To change the dataset in a config that inherits this one, change each dataloader.
_base_ = './loaders.py'
__dataset = dict(
    type='Matterport3DDataset',
    data_root='data/matterport3d',
    label_space='matterport3d',
    grid=dict(
        dims=(256, 256, 256),
        voxel_size=0.03,  # metres
        depth_range=(0.4, 6.0),  # metres
        truncation=12.0,  # voxels
    ),
)
__train_pipeline = [
    dict(type='LoadReconstructionImage'),
    dict(
        type='LoadDepthMap',
        valid_range=(0.4, 6.0),  # metres
        png_units_per_metre=4000.0,
    ),
    dict(type='LoadPanopticMaps'),
    # Volume and frustum are read for the plane occupancy only, and then dropped.
    dict(type='LoadVolumes', volumes=('geometry',), stored_flipped=False),
    dict(type='LoadFrustumMask', stored_flipped=False, stored_inverted=True),
    dict(type='MakePlaneDepth', plane_size=(120, 160)),
    dict(type='MakeInstanceTargets', min_instance_pixels=200),
    dict(
        type='PlaneOccupancyTarget', num_planes=100, plane_size=(120, 160), band=12.0
    ),  # voxels
    dict(type='PackReconstructionInputs', with_3d=False),
]
__test_pipeline = [
    dict(type='LoadReconstructionImage'),
    dict(
        type='LoadDepthMap',
        valid_range=(0.4, 6.0),  # metres
        png_units_per_metre=4000.0,
    ),
    dict(type='LoadPanopticMaps'),
    dict(type='LoadRoomMask'),  # cuts the predicted depth to the room
    dict(type='PackReconstructionInputs', with_3d=False),
]

train_dataloader = dict(
    batch_size=2, dataset=dict(**__dataset, pipeline=__train_pipeline)
)
val_dataloader = dict(dataset=dict(**__dataset, pipeline=__test_pipeline))
test_dataloader = dict(dataset=dict(**__dataset, pipeline=__test_pipeline))

val_evaluator = [dict(type='ImagePanopticQuality'), dict(type='DepthError')]
test_evaluator = val_evaluator
