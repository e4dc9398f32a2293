"""Every look-up under our scope finds a registry of ours, and warns of nothing."""

from __future__ import annotations

import logging

import pytest
from mmengine import registry as root
from mmengine.registry import Registry
from mmengine.utils import import_modules_from_strings

from mmp3d import registry as ours

NAMES = sorted(n for n, value in vars(root).items() if isinstance(value, Registry))


@pytest.mark.parametrize('name', NAMES)
def test_our_scope_has_a_child_of_each_registry(
    name: str, caplog: pytest.LogCaptureFixture
):
    assert len(NAMES) >= 23
    logging.getLogger('mmengine').propagate = True
    with getattr(root, name).switch_scope_and_registry(None) as found:
        assert found is getattr(ours, name)
    assert not caplog.records


def test_host_types_stay_reachable():
    for name, type_name in (
        ('LOOPS', 'IterBasedTrainLoop'),
        ('OPTIMIZERS', 'AdamW'),
        ('PARAM_SCHEDULERS', 'PolyLR'),
        ('VISBACKENDS', 'TensorboardVisBackend'),
        ('FUNCTIONS', 'pseudo_collate'),
        ('TRANSFORMS', 'mmdet.PhotoMetricDistortion'),
    ):
        assert getattr(ours, name).get(type_name).__name__ == type_name.split('.')[-1]


def test_the_names_a_user_would_look_for_are_registered():
    import_modules_from_strings(
        [
            'mmp3d.apis',
            'mmp3d.datasets',
            'mmp3d.engine',
            'mmp3d.evaluation',
            'mmp3d.models',
            'mmp3d.visualization',
            'projects.NvPanoptix3D.nvpanoptix3d',
        ]
    )
    wanted = {
        'MODELS': 'NvPanoptix3D VGGT MSDeformAttnPixelDecoder PanopticDepthHead '
        'FrustumBranch SurfaceLifting OccupancyLifting FrustumDecoder DPTHead '
        'ReconstructionDataPreprocessor',
        'DATASETS': 'Front3DDataset Matterport3DDataset',
        'METRICS': 'PanopticReconstructionQuality ImagePanopticQuality DepthError',
        'HOOKS': 'CheckpointKeysHook ReconstructionVisualizationHook',
        'VISUALIZERS': 'ReconstructionVisualizer',
        'INFERENCERS': 'PanopticReconstructionInferencer',
    }
    for registry, names in wanted.items():
        for name in names.split():
            found = getattr(ours, registry).get(name)
            assert found is not None, f'{registry} has no {name}'
            assert found.__module__.split('.')[0] in ('mmp3d', 'projects')
