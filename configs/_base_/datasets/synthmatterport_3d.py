# SynthRooms in Matterport3D's layout on a coarse grid, images and volumes: stage 2.
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
    batch_size=2,
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

val_evaluator = [
    dict(type='ImagePanopticQuality'),
    dict(type='DepthError'),
    dict(
        type='PanopticReconstructionQuality',
        iso=2.0,  # voxels
        downsample_factor=2,
    ),
]
test_evaluator = [
    dict(type='ImagePanopticQuality'),
    dict(type='DepthError'),
    dict(
        type='PanopticReconstructionQuality',
        iso=2.0,  # voxels
        downsample_factor=2,
    ),
]
