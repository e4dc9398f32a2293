# From scratch on two CPU cores. The length of a run is the config's: max_iters, and the
# end of the second scheduler.
train_cfg = dict(type='IterBasedTrainLoop', max_iters=6000, val_interval=2000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=6e-4, weight_decay=0.05, fused=True),
    clip_grad=dict(max_norm=5.0, norm_type=2),
    constructor='PartwiseOptimWrapperConstructor',
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=150, by_epoch=False),
    dict(type='PolyLR', power=0.9, eta_min=0.0, begin=150, end=6000, by_epoch=False),
]
