import pytest
import torch

from mmp3d.models.postprocess import FactoredMasks, FusionRules, fuse_queries
from mmp3d.structures import FRONT3D

WALL, FLOOR, BED, CHAIR = 10, 11, 2, 3
NO_OBJECT = FRONT3D.no_object


def class_logits(*labels: int) -> torch.Tensor:
    """Queries that are sure of their labels (score 0.9999)."""
    logits = torch.zeros(len(labels), FRONT3D.num_classes + 1)
    logits[torch.arange(len(labels)), torch.tensor(labels, dtype=torch.long)] = 12.0
    return logits


def mask_logits(*rows: str) -> torch.Tensor:
    """One letter per cell: '#' surely inside, '+' barely, '-' barely not, '.' not."""
    values = {'#': 6.0, '+': 1.0, '-': -1.0, '.': -6.0}
    return torch.tensor([[values[cell] for cell in row] for row in rows])


def test_things_are_counted_and_stuff_is_merged():
    result = fuse_queries(
        class_logits(WALL, CHAIR, CHAIR, WALL),
        mask_logits('##......', '..##....', '....##..', '......##'),
        FRONT3D,
        FusionRules(0.5),
    )
    assert result.ids.tolist() == [1, 1, 2, 2, 3, 3, 1, 1]
    assert result.ids.dtype == torch.int32
    assert [(s.id, s.label, s.is_thing, s.query) for s in result.segments] == [
        (1, WALL, False, 0),
        (2, CHAIR, True, 1),
        (3, CHAIR, True, 2),
    ]
    assert result.segments[0].score == pytest.approx(1.0, abs=1e-3)


def test_a_cell_belongs_to_the_surest_query_weighted_by_score():
    logits = class_logits(BED, CHAIR)
    logits[0, BED] = 3.0  # score 0.61
    result = fuse_queries(logits, mask_logits('##.', '++#'), FRONT3D, FusionRules(0.5))
    # 0.61 * 0.998 is less than 1 * 0.731.
    assert result.ids.tolist() == [1, 1, 1]
    assert [s.label for s in result.segments] == [CHAIR]


def test_class_probs_hold_score_times_mask_probability():
    result = fuse_queries(
        class_logits(FLOOR, BED), mask_logits('#..', '.+.'), FRONT3D, FusionRules(0.5)
    )
    expected = torch.zeros(13, 3)
    expected[FLOOR, 0], expected[BED, 1] = 0.99753, 0.73106
    torch.testing.assert_close(result.class_probs, expected, atol=2e-4, rtol=0)


def test_a_query_that_loses_most_of_its_mask_is_refused():
    masks = mask_logits('####.', '.++++')
    rules = FusionRules(0.5, overlap_threshold=0.5)
    loose = fuse_queries(class_logits(BED, CHAIR), masks, FRONT3D, FusionRules(0.5))
    strict = fuse_queries(class_logits(BED, CHAIR), masks, FRONT3D, rules)
    assert loose.ids.tolist() == [1, 1, 1, 1, 2]
    assert strict.ids.tolist() == [1, 1, 1, 1, 0]


def test_a_share_equal_to_the_threshold_is_accepted():
    result = fuse_queries(
        class_logits(BED, CHAIR),
        mask_logits('##...', '.++++'),
        FRONT3D,
        FusionRules(0.5, overlap_threshold=0.75),
    )
    assert result.ids.tolist() == [1, 1, 2, 2, 2]


def test_unassigned_cells_are_filled_with_the_best_accepted_stuff():
    result = fuse_queries(
        class_logits(WALL, FLOOR, BED),
        mask_logits('##.-.', '..#.-', '.....'),
        FRONT3D,
        FusionRules(0.5, fill_with_stuff=True),
    )
    assert result.ids.tolist() == [1, 1, 2, 1, 2]
    assert result.class_probs[WALL, 3].item() == pytest.approx(0.269, abs=1e-3)


def test_without_stuff_nothing_is_filled():
    result = fuse_queries(
        class_logits(BED),
        mask_logits('#--'),
        FRONT3D,
        FusionRules(0.5, fill_with_stuff=True),
    )
    assert result.ids.tolist() == [1, 0, 0]


def test_claimed_cells_belong_to_their_winner_if_it_became_a_segment():
    result = fuse_queries(
        class_logits(BED, CHAIR),
        mask_logits('#.-..', '...--'),
        FRONT3D,
        FusionRules(0.5),
        claimed=torch.tensor([False, False, True, True, False]),
    )
    # Cell 3 is won by the chair, which nowhere is sure enough to exist.
    assert result.ids.tolist() == [1, 0, 1, 0, 0]


def test_no_object_and_ignored_labels_are_dropped():
    masks = mask_logits('#...', '.#..', '..#.')
    labels = class_logits(NO_OBJECT, 0, BED)
    kept = fuse_queries(labels, masks, FRONT3D, FusionRules(0.5))
    ignored = fuse_queries(
        labels, masks, FRONT3D, FusionRules(0.5, ignored_labels=(0,))
    )
    assert [s.label for s in kept.segments] == [0, BED]
    assert [s.label for s in ignored.segments] == [BED]


def test_an_image_is_a_flat_domain_folded():
    logits, masks = torch.randn(6, 14) * 4, torch.randn(6, 5, 7) * 3
    rules = FusionRules(0.3, 0.2, fill_with_stuff=True)
    image = fuse_queries(logits, masks, FRONT3D, rules)
    flat = fuse_queries(logits, masks.flatten(1), FRONT3D, rules)
    assert image.ids.shape == (5, 7)
    assert image.class_probs.shape == (13, 5, 7)
    assert image.ids.flatten().tolist() == flat.ids.tolist()
    assert image.segments == flat.segments


@pytest.mark.parametrize('cells_per_chunk', [4, 35, 1000])
def test_factors_in_chunks_equal_the_product(cells_per_chunk):
    features, queries = torch.randn(35, 3), torch.randn(6, 3) * 3
    logits = torch.randn(6, 14) * 4
    rules = FusionRules(0.3, 0.2, fill_with_stuff=True)
    claimed = torch.rand(35) > 0.5
    dense = fuse_queries(logits, queries @ features.T, FRONT3D, rules, claimed)
    factors = FactoredMasks(features, queries, cells_per_chunk)
    chunked = fuse_queries(logits, factors, FRONT3D, rules, claimed)
    assert chunked.ids.tolist() == dense.ids.tolist()
    assert len(chunked.segments) > 1
    torch.testing.assert_close(chunked.class_probs, dense.class_probs)


@pytest.mark.parametrize(
    ('logits', 'masks'),
    [
        (class_logits(BED), torch.full((1, 2, 3), -9.0)),
        (class_logits(NO_OBJECT), torch.zeros(1, 2, 3)),
        (class_logits(), torch.zeros(0, 2, 3)),
    ],
    ids=['empty mask', 'nothing kept', 'no query'],
)
def test_nothing_found_is_an_empty_segmentation(logits, masks):
    result = fuse_queries(logits, masks, FRONT3D, FusionRules(0.5, 0.5, (), True))
    assert result.segments == ()
    assert result.ids.tolist() == [[0] * 3] * 2
    assert result.class_probs.shape == (13, 2, 3)
    assert not result.class_probs.any()


def test_no_cell_is_an_empty_segmentation():
    factors = FactoredMasks(torch.zeros(0, 3), torch.zeros(1, 3))
    result = fuse_queries(class_logits(BED), factors, FRONT3D, FusionRules(0.5))
    assert result.ids.shape == (0,)
    assert result.segments == ()


def test_logits_of_another_label_space_are_refused():
    with pytest.raises(ValueError, match='14 class logits are expected, got 5'):
        fuse_queries(torch.zeros(1, 5), mask_logits('#'), FRONT3D, FusionRules(0.5))
