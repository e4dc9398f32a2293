# SynthRooms in Matterport3D's layout on a coarse grid, images only: stage 1.
# Every dataloader shares this dataset; to change it in a config that inherits this one,
# change it in train_dataloader, val_dataloader and test_dataloader.
__dataset = dict(
    type='Matterport3DDataset',
    data_root='data/synthmatterport',
    label_space='matterport3d',
    grid=dict(
        dims=(128, 128, 128),
        voxel_size=0.06,  # metres
        depth_range=(0.4, 6.0),  # metres
        truncation=12.0,  # voxels
    ),
)
__train_pipeline = [
    dict(type='LoadReconstructionImage'),
    dict(type='LoadDepthMap', valid_range=(0.4, 6.0)),  # metres
    dict(type='LoadPanopticMaps'),
    # Volume and frustum are read for the plane occupancy only, and then dropped.
    dict(type='LoadVolumes', volumes=('geometry',), stored_flipped=False),
    dict(type='LoadFrustumMask', stored_flipped=False, stored_inverted=True),
    dict(type='RandomFlipReconstruction', prob=0.5),
    dict(type='DistortColours'),
    dict(type='MakePlaneDepth', plane_size=(60, 80)),
    dict(type='MakeInstanceTargets', min_instance_pixels=200),
    dict(
        type='PlaneOccupancyTarget', num_planes=50, plane_size=(60, 80), band=6.0
    ),  # voxels; 36 cm as published
    dict(type='PackReconstructionInputs', with_3d=False),
]
__test_pipeline = [
    dict(type='LoadReconstructionImage'),
    dict(type='LoadDepthMap', valid_range=(0.4, 6.0)),  # metres
    dict(type='LoadPanopticMaps'),
    dict(type='PackReconstructionInputs', with_3d=False),
]

train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(**__dataset, ann_file='meta/train.json', pipeline=__train_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **__dataset, ann_file='meta/val.json', pipeline=__test_pipeline, test_mode=True
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **__dataset, ann_file='meta/test.json', pipeline=__test_pipeline, test_mode=True
    ),
)

val_evaluator = [dict(type='ImagePanopticQuality'), dict(type='DepthError')]
test_evaluator = [dict(type='ImagePanopticQuality'), dict(type='DepthError')]
