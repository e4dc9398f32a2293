import pytest
import torch

from mmp3d.models.losses import mask_bce, mask_dice, weighted_mean


def test_cross_entropy_of_an_undecided_mask_is_ln_2():
    losses = mask_bce(torch.zeros(2, 5), torch.tensor([[0.0] * 5, [1.0] * 5]))
    torch.testing.assert_close(losses, torch.full((2,), 0.6931472))


def test_dice_by_hand():
    # Half sure of 4 points, 2 of which belong to the target: 2 * 1 + 1 of 2 + 2 + 1.
    losses = mask_dice(torch.zeros(1, 4), torch.tensor([[1.0, 1, 0, 0]]))
    torch.testing.assert_close(losses, torch.tensor([1 - 3 / 5]))


def test_dice_of_equal_masks_is_zero_even_when_empty():
    targets = torch.tensor([[1.0, 1, 0, 0], [0.0] * 4])
    losses = mask_dice(200 * targets - 100, targets)
    torch.testing.assert_close(losses, torch.zeros(2))


def test_weighted_mean_counts_by_weight():
    mean = weighted_mean(torch.tensor([1.0, 4.0]), torch.tensor([3.0, 1.0]))
    assert mean.item() == pytest.approx(1.75)


def test_mean_of_nothing_is_zero_and_keeps_the_graph():
    logits = torch.randn(3, 4, requires_grad=True)
    none = torch.zeros(0, dtype=torch.long)
    losses = mask_bce(logits[none], torch.zeros(0, 4))
    loss = weighted_mean(losses, torch.zeros(0))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.abs().sum() == 0
    assert mask_dice(logits[none], torch.zeros(0, 4)).shape == (0,)


def test_zero_weights_give_zero():
    assert weighted_mean(torch.tensor([5.0]), torch.tensor([0.0])).item() == 0
