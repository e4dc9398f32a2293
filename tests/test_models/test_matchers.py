import torch

from mmp3d.models.matchers import MaskMatcher


def example():
    """Three queries, two targets; query 2 is target 0, query 0 is target 1."""
    class_logits = torch.full((3, 5), -2.0)
    class_logits[2, 1] = class_logits[0, 3] = class_logits[1, 4] = 2.0
    masks = torch.tensor([[1.0, 1, 0, 0], [0, 0, 0, 1]])
    mask_logits = 8 * torch.stack((masks[1], masks[0] * 0, masks[0])) - 4
    return class_logits, mask_logits, torch.tensor([1, 3]), masks


def test_every_target_finds_its_query():
    matching = MaskMatcher()(*example())
    assert matching.query_indices.tolist() == [0, 2]
    assert matching.target_indices.tolist() == [1, 0]


def test_cost_by_hand():
    # Two queries with even classes and empty logits, one target of half the points.
    cost = MaskMatcher(class_weight=2.0, mask_weight=3.0, dice_weight=5.0).cost(
        torch.zeros(2, 4), torch.zeros(2, 6), torch.tensor([2]), torch.ones(1, 6)
    )
    ln2, dice = 0.693147, 1 - (2 * 3 + 1) / (3 + 6 + 1)
    expected = torch.full((2, 1), -2 / 4 + 3 * ln2 + 5 * dice)
    torch.testing.assert_close(cost, expected)


def test_order_of_the_queries_does_not_matter():
    class_logits, mask_logits, labels, masks = example()
    order = torch.tensor([2, 0, 1])
    before = MaskMatcher()(class_logits, mask_logits, labels, masks)
    after = MaskMatcher()(class_logits[order], mask_logits[order], labels, masks)
    pairs = zip(before.query_indices, before.target_indices, strict=True)
    renamed = zip(order[after.query_indices], after.target_indices, strict=True)
    assert {(int(q), int(t)) for q, t in pairs} == {
        (int(q), int(t)) for q, t in renamed
    }


def test_more_targets_than_queries_match_every_query():
    matching = MaskMatcher()(
        torch.randn(2, 5), torch.randn(2, 7), torch.tensor([1, 2, 3]), torch.rand(3, 7)
    )
    assert matching.query_indices.tolist() == [0, 1]
    assert len(set(matching.target_indices.tolist())) == 2


def test_no_target_matches_nothing():
    none = torch.zeros(0, dtype=torch.long)
    matching = MaskMatcher()(
        torch.randn(3, 5), torch.randn(3, 7), none, torch.rand(0, 7)
    )
    assert len(matching.query_indices) == len(matching.target_indices) == 0


def test_no_query_matches_nothing():
    matching = MaskMatcher()(
        torch.zeros(0, 5), torch.zeros(0, 7), torch.tensor([1]), torch.rand(1, 7)
    )
    assert len(matching.query_indices) == len(matching.target_indices) == 0


def test_no_gradient_passes_through_the_matching():
    class_logits, mask_logits, labels, masks = example()
    class_logits.requires_grad_()
    assert (
        not MaskMatcher().cost(class_logits, mask_logits, labels, masks).requires_grad
    )
