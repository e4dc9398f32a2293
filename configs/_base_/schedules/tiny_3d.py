# The 3D part of the tiny model, on two CPU cores.
_base_ = './tiny.py'
train_cfg = dict(max_iters=2500, val_interval=1250)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=50, by_epoch=False),
    dict(type='PolyLR', power=0.9, eta_min=0.0, begin=50, end=2500, by_epoch=False),
]
