# NvPanoptix3D at its published size: 1.37 B parameters, 909 M of them frozen.
model = dict(
    type='NvPanoptix3D',
    label_space='front3d',
    data_preprocessor=dict(
        type='ReconstructionDataPreprocessor', pad_size_divisor=32, pad_value=128.0
    ),  # grey, 0 ... 255
    frozen=['backbone.aggregator', 'backbone.camera_head'],
    backbone=dict(
        type='VGGT',
        input_width=448,  # pixels
        patch_size=14,  # pixels
        embed_dim=1024,
        depth=24,
        num_heads=16,
        taps=(4, 11, 17, 23),
        patch_embed=dict(
            type='DINOv2', img_size=518, embed_dim=1024, depth=24, num_heads=16
        ),
        camera_head=dict(type='CameraHead', trunk_depth=4, num_heads=16),
        depth_head=dict(
            type='DPTHead', features=256, out_channels=(256, 512, 1024, 1024)
        ),
        token_pyramid=dict(type='TokenPyramid', out_channels=(256, 512, 1024, 2048)),
    ),
    pixel_decoder=dict(
        type='MSDeformAttnPixelDecoder',
        in_channels=(256, 512, 1024, 2048),
        channels=256,
        mask_channels=256,
        num_layers=6,
        num_heads=8,
        feedforward_channels=1024,
    ),
    panoptic_head=dict(
        type='PanopticDepthHead',
        object_mask_threshold=0.8,
        overlap_threshold=0.8,
        decoder=dict(
            type='DepthAwareDecoder',
            num_classes=13,
            channels=256,
            mask_channels=256,
            num_queries=100,
            num_layers=9,
            num_heads=8,
            feedforward_channels=2048,
        ),
        depth_projector=dict(type='DepthProjector', in_channels=256, channels=256),
        plane_occupancy=dict(
            type='PlaneOccupancyHead',
            in_channels=(256, 512, 1024, 2048),
            num_planes=100,
            plane_size=(120, 160),
            decoder_channels=(1024, 512, 256, 128, 64),
            fused_channels=16,
        ),
        criterion=dict(
            type='PanopticDepthCriterion',
            class_weight=2.0,
            mask_weight=5.0,
            dice_weight=5.0,
            depth_weight=5.0,
            plane_occupancy_weight=5.0,
            no_object_weight=0.1,
            num_points=12544,
        ),
    ),
)
