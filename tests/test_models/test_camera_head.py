"""The camera head."""

from __future__ import annotations

import torch

from mmp3d.models.heads import CameraHead
from mmp3d.registry import MODELS


def tiny(**changes) -> CameraHead:
    sizes = {'dim': 16, 'trunk_depth': 2, 'num_heads': 2, 'num_iterations': 3}
    return CameraHead(**{**sizes, **changes})


def test_one_encoding_per_step_and_view():
    steps = tiny()(torch.randn(2, 3, 16))
    assert [tuple(step.shape) for step in steps] == [(2, 3, 9)] * 3


def test_field_of_view_is_never_negative_but_the_rest_may_be():
    head = tiny()
    torch.nn.init.constant_(head.pose_branch.fc2.bias, -3.0)
    last = head(torch.randn(2, 1, 16))[-1]
    assert (last[..., 7:] == 0).all()
    assert (last[..., :7] < 0).all()


def test_steps_add_up():
    head = tiny()
    torch.nn.init.zeros_(head.pose_branch.fc2.weight)
    torch.nn.init.constant_(head.pose_branch.fc2.bias, 0.5)
    steps = head(torch.randn(1, 1, 16))
    assert [step.unique().item() for step in steps] == [0.5, 1.0, 1.5]


def test_no_gradient_flows_back_through_the_previous_pose():
    head = tiny()
    steps = head(torch.randn(1, 2, 16))
    first, last = (
        torch.autograd.grad(step.sum(), head.empty_pose_tokens, retain_graph=True)[0]
        for step in (steps[0][..., :7], steps[-1][..., :7])
    )
    assert first.any()
    torch.testing.assert_close(last, first)


def test_views_attend_to_each_other_and_samples_do_not():
    head = tiny()
    torch.nn.init.normal_(head.trunk[0].ls1.gamma)
    tokens = torch.randn(2, 2, 16)
    before = head(tokens)[-1]
    changed = tokens.clone()
    changed[0, 1] += 1.0
    after = head(changed)[-1]
    assert not torch.equal(before[0, 0], after[0, 0])
    assert torch.equal(before[1], after[1])


def test_builds_on_the_meta_device():
    with torch.device('meta'):
        head = MODELS.build({'type': 'CameraHead', 'dim': 32})
    assert sum(p.numel() for p in head.parameters() if p.is_meta) > 0
