# The same system in small: trains from scratch on two CPU cores, on a grid of 64 voxels
# of 12 cm: as fine as its depth is right.
model = dict(
    type='NvPanoptix3D',
    label_space='front3d',
    data_preprocessor=dict(
        type='ReconstructionDataPreprocessor', pad_size_divisor=32, pad_value=128.0
    ),  # grey, 0 ... 255
    backbone=dict(
        type='VGGT',
        input_width=224,  # pixels
        patch_size=14,  # pixels
        embed_dim=192,
        depth=4,
        num_heads=3,
        taps=(0, 1, 2, 3),
        init_values=1.0,  # from scratch: no LayerScale warm-up
        patch_embed=dict(
            type='DINOv2', img_size=224, embed_dim=192, depth=2, num_heads=3
        ),
        camera_head=None,
        depth_head=dict(
            type='DPTHead',
            features=32,
            out_channels=(32, 48, 64, 64),
            hidden_channels=8,
            init_depth=2.5,
        ),  # metres
        token_pyramid=dict(
            type='TokenPyramid', out_channels=(32, 48, 64, 96), hidden_channels=64
        ),
    ),
    pixel_decoder=dict(
        type='MSDeformAttnPixelDecoder',
        in_channels=(32, 48, 64, 96),
        channels=96,
        mask_channels=96,
        num_layers=2,
        num_heads=6,
        num_points=2,
        num_groups=16,
        feedforward_channels=192,
    ),
    panoptic_head=dict(
        type='PanopticDepthHead',
        object_mask_threshold=0.5,
        overlap_threshold=0.5,
        decoder=dict(
            type='DepthAwareDecoder',
            num_classes=13,
            channels=96,
            mask_channels=96,
            num_queries=40,
            num_layers=4,
            num_heads=6,
            feedforward_channels=192,
        ),
        depth_projector=dict(type='DepthProjector', in_channels=32, channels=96),
        plane_occupancy=dict(
            type='PlaneOccupancyHead',
            in_channels=(32, 48, 64, 96),
            num_planes=50,
            plane_size=(60, 80),
            decoder_channels=(32, 24, 16, 12, 8),
            fused_channels=2,
            fine_scale=1,
        ),
        criterion=dict(
            type='PanopticDepthCriterion',
            class_weight=2.0,
            mask_weight=5.0,
            dice_weight=5.0,
            depth_weight=5.0,
            plane_occupancy_weight=0.2,
            no_object_weight=0.1,
            num_points=1024,
        ),
    ),
)
