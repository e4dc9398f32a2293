# The published Matterport3D schedule of both stages: AdamW, polynomial decay to 0,
# global clipping.
train_cfg = dict(type='IterBasedTrainLoop', max_iters=120000, val_interval=10000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.05),
    clip_grad=dict(max_norm=0.01, norm_type=2),
    constructor='PartwiseOptimWrapperConstructor',
    paramwise_cfg=dict(lr_mults=dict(backbone=0.1)),
)
# end = max_iters + 1: the host would reach 0 one iteration before the end.
param_scheduler = [
    dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=120001, by_epoch=False)
]
auto_scale_lr = dict(enable=False, base_batch_size=8)
