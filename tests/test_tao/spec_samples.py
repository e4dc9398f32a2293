"""Specs with the structure of the four published samples."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path

import yaml

STAGE_2_FRONT3D = yaml.safe_load("""
results_dir: results/front3d_3d
dataset:
  name: front3d
  contiguous_id: True
  label_map: ""
  downsample_factor: 1
  frustum_mask_path: ""
  iso_value: 1.0
  ignore_label: 255
  enable_3d: True
  enable_mp_occ: True
  train: {json_path: train.json, base_dir: front3d/data, batch_size: 1, num_workers: 2}
  val: {json_path: val.json, base_dir: front3d/data, batch_size: 1, num_workers: 2}
  test: {json_path: test.json, base_dir: front3d/data, batch_size: 1, num_workers: 2}
  augmentation:
    train_min_size: [240]
    train_max_size: 960
    test_min_size: 240
    test_max_size: 960
    size_divisibility: 32
train:
  checkpoint_2d: stage1.safetensors
  checkpoint_3d: ""
  freeze: []
  precision: fp32
  num_gpus: 1
  num_nodes: 1
  checkpoint_interval_unit: step
  checkpoint_interval: 1000
  num_epochs: 20
  activation_checkpoint: False
  optim:
    type: AdamW
    lr: 1e-4
    weight_decay: 0.05
    lr_scheduler: WarmupPoly
    max_steps: 110000
evaluate: {checkpoint: ""}
inference: {images_dir: "", checkpoint: ""}
model:
  object_mask_threshold: 0.8
  overlap_threshold: 0.8
  test_topk_per_image: 100
  mode: panoptic
  backbone: {backbone_type: vggt, pretrained_model_path: vggt.safetensors}
  sem_seg_head: {num_classes: 13}
  mask_former:
    dropout: 0.0
    num_object_queries: 100
    deep_supervision: True
    no_object_weight: 0.1
    class_weight: 2.0
    mask_weight: 5.0
    dice_weight: 5.0
    depth_weight: 5.0
    mp_occ_weight: 5.0
    size_divisibility: 32
  frustum3d:
    truncation: 3.0
    iso_recon_value: 1.0
    panoptic_weight: 25.0
    completion_weights: [50.0, 25.0, 10.0]
    surface_weight: 5.0
    unet_output_channels: 16
    unet_features: 16
    use_multi_scale: True
    grid_dimensions: 256
    signed_channel: 3
    frustum_dims: 256
  projection: {voxel_size: 0.03, sign_channel: True}
export:
  checkpoint: ""
  onnx_file_2d: model_2d.onnx
  on_cpu: False
  input_channel: 3
  input_width: 320
  input_height: 240
  opset_version: 17
  batch_size: 1
wandb: {enable: False, name: a_run, tags: [training, vggt]}
""")

SAMPLES = ('front3d_2d', 'front3d_3d', 'matterport_2d', 'matterport_3d')


def sample(name: str) -> dict:
    """Give the spec of a dataset and a stage."""
    dataset, stage = name.split('_')
    spec = deepcopy(STAGE_2_FRONT3D)
    if stage == '2d':
        spec['dataset']['enable_3d'] = False
        spec['dataset']['train']['batch_size'] = 16
        spec['train'].pop('checkpoint_2d')
        spec['train']['optim']['max_steps'] = 180000
    if dataset == 'matterport':
        spec['dataset'].update(name='matterport', downsample_factor=2, iso_value=2.0)
        spec['dataset']['augmentation']['size_divisibility'] = -1
        spec['model']['frustum3d'].update(
            iso_recon_value=2.0, surface_weight=10.0, use_multi_scale=False
        )
    return spec


def write_spec(folder: Path, spec: dict, suffix: str = '.yaml') -> Path:
    """Write a spec as YAML or JSON."""
    path = folder / f'spec{suffix}'
    path.write_text(json.dumps(spec) if suffix == '.json' else yaml.safe_dump(spec))
    return path
