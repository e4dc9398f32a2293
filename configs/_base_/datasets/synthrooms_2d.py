# SynthRooms on a coarse grid, images only: stage 1. Else as 3D-Front.
_base_ = './front3d_2d.py'
__dataset = dict(
    data_root='data/synthrooms',
    label_space='synthrooms',
    grid=dict(dims=(64, 64, 64), voxel_size=0.12),  # metres
)
__train_pipeline = [
    dict(type='LoadReconstructionImage'),
    dict(type='LoadDepthMap'),
    dict(type='LoadPanopticMaps'),
    dict(type='LoadVolumes', volumes=('geometry',), stored_flipped=True),
    dict(type='LoadFrustumMask', stored_flipped=True),
    dict(type='RandomFlipReconstruction', prob=0.5),
    dict(type='DistortColours'),
    dict(type='MakePlaneDepth', plane_size=(60, 80)),
    dict(type='MakeInstanceTargets', min_instance_pixels=200),
    dict(
        type='PlaneOccupancyTarget', num_planes=50, plane_size=(60, 80), band=3.0
    ),  # voxels; 36 cm as published
    dict(type='PackReconstructionInputs', with_3d=False),
]
train_dataloader = dict(
    batch_size=4, dataset=dict(**__dataset, pipeline=__train_pipeline)
)
val_dataloader = dict(dataset=__dataset)
test_dataloader = dict(dataset=__dataset)
