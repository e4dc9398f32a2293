# SynthRooms on a coarse grid, images and volumes: stage 2. Else as 3D-Front.
_base_ = './front3d_3d.py'
__dataset = dict(
    data_root='data/synthrooms',
    label_space='synthrooms',
    grid=dict(dims=(64, 64, 64), voxel_size=0.12),  # metres
)
__train_pipeline = [
    dict(type='LoadReconstructionImage'),
    dict(type='LoadPanopticMaps'),
    dict(
        type='LoadVolumes',
        volumes=('geometry', 'segmentation', 'weighting'),
        stored_flipped=True,
    ),
    dict(type='LoadFrustumMask', stored_flipped=True),
    dict(type='RandomFlipReconstruction', prob=0.5),
    dict(type='DistortColours'),
    dict(type='MakeInstanceTargets', min_instance_pixels=200),
    dict(type='PackReconstructionInputs', with_3d=True),
]
train_dataloader = dict(
    batch_size=2, dataset=dict(**__dataset, pipeline=__train_pipeline)
)
val_dataloader = dict(dataset=__dataset)
test_dataloader = dict(dataset=__dataset)
