"""Specs become configs; every documented key is accounted for."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from test_tao.documented_keys import DOCUMENTED
from test_tao.spec_samples import SAMPLES, sample, write_spec

from mmp3d.registry import METRICS, MODELS, TRANSFORMS
from mmp3d.tao import KEYS, Conversion, Spec, SpecError, convert, keys_table, read_spec
from mmp3d.tao.convert import CONFIGS, difference
from mmp3d.tao.draft import MAPPED, NO_EFFECT, UNSUPPORTED
from tools import tao_spec

ROOT = Path(__file__).resolve().parents[2]


def converted(name: str, *overrides: str, action: str = 'train') -> Conversion:
    stage = 1 if name.endswith('2d') else 2
    own = f'nvpanoptix3d/nvpanoptix3d_vggt-l_stage{stage}_matterport3d.py'
    if name.startswith('matterport') and not (CONFIGS / own).is_file():
        pytest.skip(f'configs/{own} is not there')
    spec = read_spec_of(sample(name)).with_overrides(overrides)
    return convert(spec, action)


def read_spec_of(values: dict) -> Spec:

    with tempfile.TemporaryDirectory() as folder:
        return read_spec(write_spec(Path(folder), values))


def outcome(conversion: Conversion, name: str) -> str:
    (report,) = (r for r in conversion.reports if r.key.name == name)
    return report.outcome


def test_keys_are_the_documented_ones():
    assert sorted(KEYS) == sorted(DOCUMENTED)
    assert len(DOCUMENTED) == len(set(DOCUMENTED)) == 191


def test_every_key_says_what_it_becomes():
    for key in KEYS.values():
        assert key.becomes, key.name
        assert key.status in (MAPPED, NO_EFFECT, UNSUPPORTED)
        assert (key.apply is not None) == (key.status == MAPPED), key.name


def test_the_documents_table_is_generated():
    text = (ROOT / 'docs/coming_from_tao.md').read_text()
    assert keys_table() in text, (
        'replace the table of docs/coming_from_tao.md: '
        "python -c 'from mmp3d.tao import keys_table; print(keys_table())'"
    )


@pytest.mark.parametrize('name', SAMPLES)
def test_a_sample_becomes_a_config_whose_model_builds(name: str, tmp_path: Path):
    conversion = converted(name)
    path = tmp_path / 'my.py'
    path.write_text(conversion.text(path))
    cfg = Config.fromfile(path)
    assert cfg._cfg_dict.to_dict() == conversion.config._cfg_dict.to_dict()
    init_default_scope('mmp3d')
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    assert (model.frustum_branch is None) == name.endswith('2d')
    for split in ('train', 'val', 'test'):
        for step in cfg[f'{split}_dataloader'].dataset.pipeline:
            TRANSFORMS.build(step)
    for metric in cfg.test_evaluator:
        METRICS.build(metric)


@pytest.mark.parametrize('name', SAMPLES)
def test_what_samples_say_arrives(name: str):
    cfg = converted(name).config
    stage_2, matterport = name.endswith('3d'), name.startswith('matterport')
    assert cfg.train_dataloader.batch_size == (1 if stage_2 else 16)
    assert cfg.train_dataloader.dataset.data_root.endswith('/front3d')
    assert cfg.train_dataloader.dataset.ann_file.endswith('/train.json')
    assert cfg.optim_wrapper.optimizer.lr == 1e-4
    assert cfg.optim_wrapper.clip_grad.max_norm == 0.1  # documented default
    assert cfg.model.panoptic_head.overlap_threshold == 0.8
    assert cfg.model.data_preprocessor.pad_value == (0 if matterport else 128)
    assert cfg.default_hooks.checkpoint.interval == 1000
    assert cfg.work_dir == 'results/front3d_3d/train'
    if not stage_2:
        assert cfg.load_from == 'vggt.safetensors'
        return
    assert cfg.load_from == 'stage1.safetensors'
    branch = cfg.model.frustum_branch
    assert branch.object_mask_threshold == 0.8
    assert branch.criterion.tudf_weight == (10 if matterport else 5)
    assert branch.decoder.coarse_channels == (None if matterport else 272)
    (metric,) = (m for m in cfg.test_evaluator if 'iso' in m)
    assert (metric.iso, metric.downsample_factor) == ((2, 2) if matterport else (1, 1))


@pytest.mark.parametrize('name', ['front3d_3d', 'matterport_3d'])
def test_results_have_the_documented_shapes(name: str):
    cfg = converted(name, action='inference').config
    assert cfg.model.panoptic_head.plane_occupancy.plane_size == (120, 160)
    assert cfg.test_dataloader.dataset.grid.dims == (256, 256, 256)


def test_the_written_config_says_only_what_differs():
    text = converted('front3d_3d').text(CONFIGS / 'my.py')
    assert text.startswith('# Made from spec.yaml by tools/tao_spec.py.\n_base_ = ')
    assert 'nvpanoptix3d/nvpanoptix3d_vggt-l_stage2_front3d.py' in text
    assert len(text.splitlines()) < 60
    assert 'DINOv2' not in text


def test_yaml_and_json_agree(tmp_path: Path):
    values = sample('front3d_3d')
    from_yaml = read_spec(write_spec(tmp_path, values))
    from_json = read_spec(write_spec(tmp_path, values, '.json'))
    assert from_yaml.given == from_json.given


@pytest.mark.parametrize(
    ('override', 'path', 'expected'),
    [
        ('train.optim.lr=3e-4', 'optim_wrapper.optimizer.lr', 3e-4),
        (
            'train.optim.backbone_multiplier=0.5',
            'optim_wrapper.paramwise_cfg',
            {'lr_mults': {'backbone': 0.5}},
        ),
        ('train.clip_grad_norm=0.01', 'optim_wrapper.clip_grad.max_norm', 0.01),
        ('train.precision=fp16', 'optim_wrapper.type', 'AmpOptimWrapper'),
        ('train.seed=-1', 'randomness.seed', None),
        (
            'train.activation_checkpoint=True',
            'model.backbone.activation_checkpoint',
            True,
        ),
        (
            'train.freeze=[sem_seg_head.predictor,projector]',
            'model.frozen',
            [
                'backbone',
                'pixel_decoder',
                'panoptic_head',
                'frustum_branch.feature_projector',
            ],
        ),
        ('train.checkpoint_3d=s2.pth', 'load_from', 's2.pth'),
        ('train.results_dir=elsewhere', 'work_dir', 'elsewhere'),
        ('model.mask_former.dec_layers=7', 'model.panoptic_head.decoder.num_layers', 6),
        ('model.mask_former.nheads=4', 'model.pixel_decoder.num_heads', 4),
        (
            'model.sem_seg_head.mask_dim=128',
            'model.frustum_branch.decoder.in_channels',
            (2, 384, 13, 16),
        ),
        (
            'model.frustum3d.use_multi_scale=False',
            'model.frustum_branch.decoder.coarse_channels',
            None,
        ),
        (
            'model.frustum3d.completion_weights=[1,2,3]',
            'model.frustum_branch.criterion.occupancy_weights',
            (1, 2, 3),
        ),
        (
            'model.projection.voxel_size=0.06',
            'val_dataloader.dataset.grid.voxel_size',
            0.06,
        ),
        ('dataset.depth_max=5', 'train_dataloader.dataset.grid.depth_range', (0.4, 5)),
        (
            'dataset.truncation_range=[0,3]',
            'model.frustum_branch.criterion.occupancy_bands',
            (8, 6, 3),
        ),
        ('dataset.depth_scale=10', 'model.panoptic_head.max_depth', 10),
        (
            'dataset.target_size=[640,480]',
            'test_dataloader.dataset.target_size',
            (480, 640),
        ),
        ('dataset.train.num_workers=0', 'train_dataloader.persistent_workers', False),
        (
            'dataset.augmentation.size_divisibility=64',
            'model.data_preprocessor.pad_size_divisor',
            64,
        ),
        ('+dataset.val.batch_size=3', 'val_dataloader.batch_size', 3),
    ],
)
def test_overrides_reach_the_config(override: str, path: str, expected: object):
    value = converted('front3d_3d', override).config
    for part in path.split('.'):
        value = value[part]
    assert value == expected


def test_reduced_planes_reach_model_and_targets():
    overrides = ('dataset.reduced_target_size=[80,60]', 'dataset.depth_size=[60,80]')
    cfg = converted('front3d_2d', *overrides).config
    assert cfg.model.panoptic_head.plane_occupancy.plane_size == (60, 80)
    sizes = [
        s.plane_size for s in cfg.train_dataloader.dataset.pipeline if 'plane_size' in s
    ]
    assert sizes == [(60, 80), (60, 80)]


def test_augmentations_come_before_targets():
    cfg = converted(
        'front3d_2d',
        'dataset.augmentation.train_min_size=[224,256]',
        'dataset.augmentation.color_aug_ssd=True',
        'dataset.augmentation.random_flip=horizontal',
    ).config
    types = [step.type for step in cfg.train_dataloader.dataset.pipeline]
    flip, plane = types.index('RandomFlipReconstruction'), types.index('MakePlaneDepth')
    resize, targets = (
        types.index('ShortestEdgeResize'),
        types.index('MakeInstanceTargets'),
    )
    assert flip < plane < resize < targets
    assert types.count('ShortestEdgeResize') == types.count('DistortColours') == 1
    assert 'ShortestEdgeResize' not in str(cfg.test_dataloader)


def test_a_crop_comes_before_the_reduced_plane():
    cfg = converted(
        'front3d_2d',
        'dataset.augmentation.train_min_size=[224,256]',
        'dataset.augmentation.enable_crop=True',
        'dataset.augmentation.crop_size=[100,200]',
        'dataset.augmentation.random_flip=vertical',
    ).config
    steps = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    types = list(steps)
    crop = types.index('RandomCropReconstruction')
    resize, plane = types.index('ShortestEdgeResize'), types.index('MakePlaneDepth')
    assert resize < crop < plane
    assert steps['RandomCropReconstruction'].crop_size == (100, 200)
    assert steps['ShortestEdgeResize'].samples_per_draw == 16
    assert steps['RandomFlipReconstruction'].direction == 'vertical'


def test_epochs_become_steps(tmp_path: Path):
    index = tmp_path / 'train.json'
    index.write_text(json.dumps([{}] * 100))
    conversion = converted(
        'front3d_2d',
        f'dataset.train.json_path={index}',
        'dataset.train.batch_size=6',
        'train.num_gpus=2',
        'train.num_epochs=5',
        'train.optim.lr_scheduler=MultiStep',
        'train.optim.milestones=[2,4]',
        'train.checkpoint_interval_unit=epoch',
        'train.checkpoint_interval=2',
    )
    cfg = conversion.config  # 100 images in batches of 12: 9 steps
    assert cfg.train_cfg.max_iters == 45
    assert cfg.train_cfg.val_interval == 9
    assert cfg.default_hooks.checkpoint.interval == 18
    assert cfg.param_scheduler[0].milestones == [18, 36]


def test_unknown_epochs_are_said():
    conversion = converted('front3d_2d')
    assert conversion.config.train_cfg.max_iters == 180000
    assert 'train.iters_per_epoch' in outcome(conversion, 'train.num_epochs')
    with pytest.raises(SpecError, match=r'MultiStep cannot.*iters_per_epoch'):
        converted('front3d_2d', 'train.optim.lr_scheduler=MultiStep')


def test_the_polynomial_schedule_is_the_published_one():
    cfg = converted(
        'front3d_2d',
        'train.optim.max_steps=20',
        'train.optim.warmup_iters=5',
        'train.optim.warmup_factor=0.2',
    ).config
    from mmengine.registry import PARAM_SCHEDULERS

    init_default_scope('mmengine')
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedulers = [
        PARAM_SCHEDULERS.build({**s, 'optimizer': optimizer})
        for s in cfg.param_scheduler
    ]
    for t in range(20):
        warm = 0.2 * (1 - t / 5) + t / 5 if t < 5 else 1.0
        expected = warm * (1 - t / 20) ** 0.9
        assert optimizer.param_groups[0]['lr'] == pytest.approx(expected, rel=1e-6)
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()


def test_stage_2_does_not_start_from_nothing():
    with pytest.raises(SpecError, match=r'set train\.checkpoint_2d'):
        converted('front3d_3d', "train.checkpoint_2d=''")


def test_evaluation_loads_the_whole_checkpoint():
    cfg = converted('front3d_3d', 'evaluate.checkpoint=a.pth', action='evaluate').config
    assert cfg.load_from == 'a.pth'
    assert cfg.work_dir == 'results/front3d_3d/evaluate'
    assert not any('may_be_missing' in hook for hook in cfg.custom_hooks)


def test_dead_and_unsupported_keys_are_reported():
    conversion = converted('front3d_3d', 'train.verbose=True', 'encryption_key=k')
    report = conversion.report()
    assert "train.verbose = True: no effect in NVIDIA's implementation either" in report
    assert "encryption_key = 'k': not supported here, because" in report
    assert len(conversion.reports) == len(KEYS)
    last = report.splitlines()[-1]
    assert last.startswith('given, not supported here') and 'encryption_key' in last


@pytest.mark.parametrize(
    ('override', 'message'),
    [
        (
            'train.optim.learning_rate=1',
            r'unknown keys.*\n.*did you mean train\.optim\.',
        ),
        ('train.lr=1', r'train\.lr: did you mean train\.optim\.lr\?'),
        ('train.optim=1', 'is a section'),
        ('dataset.name=synthetic_hospital', 'synthetic_hospital.*not supported here'),
        ('model.mode=instance', 'a panoptic result holds both'),
        ('model.mode=all', "must be 'panoptic'"),
        (
            'model.sem_seg_head.num_classes=20',
            'model.sem_seg_head.num_classes: not supp',
        ),
        ('model.mask_former.hidden_dim=128', 'must be equal'),
        ('model.mask_former.dec_layers=1', 'must be 2 or more'),
        ('model.frustum3d.frustum_dims=128', 'must be equal'),
        ('dataset.enable_mp_occ=False', 'always has the head'),
        ('dataset.depth_size=[60,80]', 'there is one plane'),
        ('dataset.target_size=[640]', 'must be two lengths'),
        ('dataset.truncation_range=[1]', 'two numbers each'),
        (
            'dataset.augmentation.random_flip=diagonal',
            'must be horizontal, vertical or empty',
        ),
        ('dataset.augmentation.gen_aug_weight=0.5', 'not supported here: 0.5'),
        ('train.optim.lr=fast', r'train\.optim\.lr must be of the kind float'),
        ('train.optim.lr_scheduler=Cosine', 'must be WarmupPoly or MultiStep'),
        ('train.distributed_strategy=fsdp', 'fsdp'),
        ('train.precision=int8', 'must be fp32 or fp16'),
        ('train.freeze=[neck]', 'no part that can be frozen'),
        ('train.checkpoint_interval_unit=hour', 'must be epoch or step'),
        ('just_a_word', 'expected key=value'),
        ('train.freeze=[', 'not readable'),
    ],
)
def test_mistakes_are_named(override: str, message: str):
    with pytest.raises(SpecError, match=message):
        converted('front3d_3d', override)


def test_warm_up_needs_a_factor():
    with pytest.raises(SpecError, match='warmup_factor must be'):
        converted(
            'front3d_3d', 'train.optim.warmup_iters=5', 'train.optim.warmup_factor=0'
        )


def test_broken_specs_are_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match='no spec at'):
        read_spec(tmp_path / 'none.yaml')
    (tmp_path / 'a.yaml').write_text('a: [')
    with pytest.raises(ValueError, match='not a readable YAML or JSON'):
        read_spec(tmp_path / 'a.yaml')
    (tmp_path / 'b.yaml').write_text('- 1')
    with pytest.raises(ValueError, match='expected sections'):
        read_spec(tmp_path / 'b.yaml')


def test_a_base_keeps_what_the_spec_leaves_out():
    base = CONFIGS / 'nvpanoptix3d/nvpanoptix3d_tiny_stage1_synthrooms.py'
    spec = Spec({'train.optim.max_steps': 30, 'train.optim.lr_scheduler': 'WarmupPoly'})
    conversion = convert(spec, base=base)
    own = Config.fromfile(base)
    assert conversion.config.train_cfg.max_iters == 30
    assert conversion.config.model == own.model
    assert conversion.config.optim_wrapper == own.optim_wrapper
    assert outcome(conversion, 'train.optim.lr') == "the base config's value"


def test_differences_say_deletions():
    old = dict(a=dict(type='A', x=1, y=2), b=1, c=[1], d=dict(p=1))
    new = dict(a=dict(type='B', x=1), b=1, c=[1, 2], d=dict(p=2), e=(1,))
    assert difference(new, old) == dict(
        a=dict(_delete_=True, type='B', x=1), c=[1, 2], d=dict(p=2), e=(1,)
    )


def test_the_tool_writes_a_config_or_says_why_not(tmp_path: Path, capsys):
    spec, out = write_spec(tmp_path, sample('front3d_3d')), tmp_path / 'out' / 'my.py'
    arguments = [str(spec), '--out', str(out), '--set', 'train.optim.lr=2e-4']
    assert tao_spec.main(arguments) == 0
    printed = capsys.readouterr().out
    assert all(f'{name} = ' in printed for name in KEYS)
    cfg = Config.fromfile(out)
    assert cfg.optim_wrapper.optimizer.lr == 2e-4
    out.unlink()
    assert tao_spec.main([*arguments, 'model.backbon.backbone_type=vggt']) == 1
    assert 'did you mean model.backbone.backbone_type?' in capsys.readouterr().err
    assert not out.exists()
