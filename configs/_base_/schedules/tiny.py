# From scratch on two CPU cores.
train_cfg = dict(type='IterBasedTrainLoop', max_iters=6000, val_interval=100000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=6e-4, weight_decay=0.05),
    clip_grad=dict(max_norm=1.0, norm_type=2),
    constructor='PartwiseOptimWrapperConstructor')
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=200, by_epoch=False),
    dict(type='PolyLR', power=0.9, eta_min=0.0, begin=200, end=6000, by_epoch=False)]
