# Stage 1 on 3D-Front: depth, 2D panoptic segmentation and plane occupancy.
_base_ = [
    './nvpanoptix3d_vggt-l.py',
    '../_base_/datasets/front3d_2d.py',
    '../_base_/schedules/poly_180k.py',
    '../_base_/default_runtime.py',
]
train_dataloader = dict(batch_size=16, num_workers=8)
