# SynthRooms in Matterport3D's layout, images only: stage 1. Else as Matterport3D.
_base_ = './matterport3d_2d.py'
__dataset = dict(
    data_root='data/synthmatterport',
    grid=dict(dims=(64, 64, 64), voxel_size=0.12),  # metres
)
__train_pipeline = [
    dict(type='LoadReconstructionImage'),
    dict(type='LoadDepthMap', valid_range=(0.4, 6.0)),  # metres
    dict(type='LoadPanopticMaps'),
    dict(type='LoadVolumes', volumes=('geometry',), stored_flipped=False),
    dict(type='LoadFrustumMask', stored_flipped=False, stored_inverted=True),
    dict(type='RandomFlipReconstruction', prob=0.5),
    dict(type='DistortColours'),
    dict(type='MakePlaneDepth', plane_size=(60, 80)),
    dict(type='MakeInstanceTargets', min_instance_pixels=200),
    dict(
        type='PlaneOccupancyTarget', num_planes=50, plane_size=(60, 80), band=3.0
    ),  # voxels; 36 cm as published
    dict(type='PackReconstructionInputs', with_3d=False),
]
__test_pipeline = [
    dict(type='LoadReconstructionImage'),
    dict(type='LoadDepthMap', valid_range=(0.4, 6.0)),  # metres
    dict(type='LoadPanopticMaps'),
    dict(type='LoadRoomMask'),  # cuts the predicted depth to the room
    dict(type='PackReconstructionInputs', with_3d=False),
]
train_dataloader = dict(
    batch_size=4, dataset=dict(**__dataset, pipeline=__train_pipeline)
)
val_dataloader = dict(dataset=dict(**__dataset, pipeline=__test_pipeline))
test_dataloader = dict(dataset=dict(**__dataset, pipeline=__test_pipeline))
