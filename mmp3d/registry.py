"""The registries of mmp3d: children of mmdet3d's, with scope ``mmp3d``.

A type that is not found here is looked up in mmdet3d, mmdet and mmengine, so that host
types stay reachable by scope (``type='mmdet.PhotoMetricDistortion'``). Every registry
of mmengine has a child here, also where we add no type: look-ups would warn otherwise.
"""

from mmdet3d import registry as host
from mmengine import registry as root
from mmengine.registry import Registry

from mmp3d.utils.host_repairs import repair_host

repair_host()


def _child(parent: Registry, *locations: str) -> Registry:
    return Registry(
        parent.name, parent=parent, scope='mmp3d', locations=list(locations)
    )


MODELS = _child(host.MODELS, 'mmp3d.models')
TASK_UTILS = _child(host.TASK_UTILS, 'mmp3d.models')
DATASETS = _child(host.DATASETS, 'mmp3d.datasets')
TRANSFORMS = _child(host.TRANSFORMS, 'mmp3d.datasets.transforms')
DATA_SAMPLERS = _child(host.DATA_SAMPLERS, 'mmp3d.datasets')
METRICS = _child(host.METRICS, 'mmp3d.evaluation')
HOOKS = _child(host.HOOKS, 'mmp3d.engine')
VISUALIZERS = _child(host.VISUALIZERS, 'mmp3d.visualization')
INFERENCERS = _child(host.INFERENCERS, 'mmp3d.apis')
OPTIM_WRAPPERS = _child(host.OPTIM_WRAPPERS, 'mmp3d.engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child(host.OPTIM_WRAPPER_CONSTRUCTORS, 'mmp3d.engine')
EVALUATOR = _child(host.EVALUATOR)
FUNCTIONS = _child(root.FUNCTIONS)
LOG_PROCESSORS = _child(host.LOG_PROCESSORS)
LOOPS = _child(host.LOOPS)
MODEL_WRAPPERS = _child(host.MODEL_WRAPPERS)
OPTIMIZERS = _child(host.OPTIMIZERS)
PARAM_SCHEDULERS = _child(host.PARAM_SCHEDULERS)
RUNNERS = _child(host.RUNNERS)
RUNNER_CONSTRUCTORS = _child(host.RUNNER_CONSTRUCTORS)
STRATEGIES = _child(root.STRATEGIES)
VISBACKENDS = _child(host.VISBACKENDS)
WEIGHT_INITIALIZERS = _child(host.WEIGHT_INITIALIZERS)
