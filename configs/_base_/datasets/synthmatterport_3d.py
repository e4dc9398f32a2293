# SynthRooms in Matterport3D's layout, with volumes: stage 2. Else as Matterport3D.
_base_ = './matterport3d_3d.py'
__dataset = dict(
    data_root='data/synthmatterport',
    grid=dict(dims=(64, 64, 64), voxel_size=0.12),  # metres
)
__train_pipeline = [
    dict(type='LoadReconstructionImage'),
    dict(type='LoadPanopticMaps'),
    dict(
        type='LoadVolumes',
        volumes=('geometry', 'segmentation', 'weighting'),
        stored_flipped=False,
    ),
    dict(type='LoadFrustumMask', stored_flipped=False, stored_inverted=True),
    dict(type='LoadRoomMask'),
    dict(type='RandomFlipReconstruction', prob=0.5),
    dict(type='DistortColours'),
    dict(type='MakeInstanceTargets', min_instance_pixels=200),
    dict(type='MakePlaneRoomMask', plane_size=(60, 80)),
    dict(type='PackReconstructionInputs', with_3d=True),
]
__test_pipeline = [
    dict(type='LoadReconstructionImage'),
    dict(type='LoadDepthMap', valid_range=(0.4, 6.0)),  # metres
    dict(type='LoadPanopticMaps'),
    dict(
        type='LoadVolumes', volumes=('geometry', 'segmentation'), stored_flipped=False
    ),
    dict(type='LoadFrustumMask', stored_flipped=False, stored_inverted=True),
    dict(type='LoadRoomMask'),
    dict(type='MakePlaneRoomMask', plane_size=(60, 80)),
    dict(type='PackReconstructionInputs', with_3d=True),
]
train_dataloader = dict(
    batch_size=2, dataset=dict(**__dataset, pipeline=__train_pipeline)
)
val_dataloader = dict(dataset=dict(**__dataset, pipeline=__test_pipeline))
test_dataloader = dict(dataset=dict(**__dataset, pipeline=__test_pipeline))
