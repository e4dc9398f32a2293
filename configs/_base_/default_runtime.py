default_scope = 'mmp3d'
custom_imports = dict(
    imports=[
        'mmp3d.engine',
        'mmp3d.models',
        'mmp3d.datasets',
        'mmp3d.evaluation',
        'mmp3d.visualization',
        'projects.NvPanoptix3D.nvpanoptix3d',
    ],
    allow_failed_imports=False,
)

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='WholeCheckpointHook', by_epoch=False, interval=3000, max_keep_ckpts=3
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    exact_resume=dict(type='ExactResumeHook'),
    finite_loss=dict(type='StopOnNonFiniteLossHook'),
    graceful_stop=dict(type='GracefulStopHook'),
    visualization=dict(type='ReconstructionVisualizationHook', draw=False),
)
custom_hooks = [dict(type='CheckpointKeysHook')]

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)

vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(
    type='ReconstructionVisualizer', vis_backends=vis_backends, name='visualizer'
)

log_processor = dict(type='LogProcessor', window_size=50, by_epoch=False)
log_level = 'INFO'
randomness = dict(seed=1234)
load_from = None
resume = False
