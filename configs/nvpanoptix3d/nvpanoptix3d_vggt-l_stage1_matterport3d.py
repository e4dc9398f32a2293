# Stage 1 on Matterport3D: depth, 2D panoptic segmentation and plane occupancy.
# The published spec ends after 20 epochs on one device, at a third of this schedule.
_base_ = [
    './nvpanoptix3d_vggt-l.py',
    '../_base_/datasets/matterport3d_2d.py',
    '../_base_/schedules/poly_120k.py',
    '../_base_/default_runtime.py',
]
train_dataloader = dict(batch_size=16, num_workers=8)
auto_scale_lr = dict(base_batch_size=16)

model = dict(
    label_space='matterport3d', data_preprocessor=dict(pad_value=0.0)
)  # black, 0 ... 255
