"""What the default hooks promise, on a toy model."""

from __future__ import annotations

from pathlib import Path

import torch
from test_engine.toy_run import last_checkpoint, toy_config, train


def _losses(checkpoint: dict) -> list[float]:
    return checkpoint['message_hub']['log_scalars']['train/loss'].data[0].tolist()


def test_forty_iterations_equal_17_and_23(tmp_path: Path):
    def run(name: str, max_iters: int, resume: Path | None = None) -> dict:
        cfg = toy_config(tmp_path / name, max_iters)
        cfg.train_dataloader.update(num_workers=2, persistent_workers=True)
        cfg.resume, cfg.load_from = resume is not None, str(resume or '') or None
        train(cfg)
        return last_checkpoint(cfg.work_dir)

    whole = run('whole', 40)
    first = run('first', 17)
    resumed = run('second', 40, tmp_path / 'first' / 'iter_17.pth')
    assert _losses(first) == _losses(whole)[:17]
    assert _losses(resumed) == _losses(whole) and len(_losses(whole)) == 40
    for name, value in whole['state_dict'].items():
        assert torch.equal(resumed['state_dict'][name], value), name
    for index, state in whole['optimizer']['state'].items():
        for name, value in state.items():
            found = resumed['optimizer']['state'][index][name]
            assert torch.equal(found, value), name
    assert resumed['meta']['data_order'] == whole['meta']['data_order']
    assert whole['meta']['data_order']['position'] == 80


def test_another_batch_size_goes_on_at_the_same_sample(tmp_path: Path):
    whole = train(toy_config(tmp_path / 'whole', 6)).model.seen
    train(toy_config(tmp_path / 'first', 3))
    cfg = toy_config(tmp_path / 'second', 5)
    cfg.load_from, cfg.resume = str(tmp_path / 'first' / 'iter_3.pth'), True
    cfg.train_dataloader.batch_size = 3
    runner = train(cfg)
    assert runner.model.seen == whole[6:]
    assert last_checkpoint(cfg.work_dir)['meta']['data_order']['position'] == 12


def test_weights_alone_do_not_move_the_data(tmp_path: Path):
    first = train(toy_config(tmp_path / 'first', 2)).model.seen
    cfg = toy_config(tmp_path / 'second', 2)
    cfg.load_from = str(tmp_path / 'first' / 'iter_2.pth')
    assert train(cfg).model.seen == first


def test_old_checkpoints_are_deleted(tmp_path: Path):
    train(toy_config(tmp_path, 5))
    assert sorted(p.name for p in tmp_path.glob('*.pth')) == [
        'iter_4.pth',
        'iter_5.pth',
    ]
