import pytest
import torch

from mmp3d.structures import PixelFeatures
from projects.NvPanoptix3D.nvpanoptix3d.depth_aware_decoder import (
    DepthAwareDecoder,
    attended_cells,
)
from projects.NvPanoptix3D.nvpanoptix3d.depth_projector import DepthProjector

B, Q, C, CM, CLASSES = 2, 5, 12, 8, 4
SIZES = [(2, 3), (3, 5), (6, 10)]
FINE = (12, 19)


def _decoder(num_layers: int = 4) -> DepthAwareDecoder:
    return DepthAwareDecoder(
        num_classes=CLASSES,
        channels=C,
        mask_channels=CM,
        num_queries=Q,
        num_layers=num_layers,
        num_heads=3,
        feedforward_channels=10,
    )


def _levels(batch: int = B) -> tuple[torch.Tensor, ...]:
    return tuple(torch.randn(batch, C, *size) for size in SIZES)


def _pixels(batch: int = B) -> PixelFeatures:
    return PixelFeatures(torch.randn(batch, CM, *FINE), _levels(batch))


def test_one_prediction_before_and_after_every_layer():
    decoded = _decoder(num_layers=4)(_pixels(), _levels())
    assert len(decoded.auxiliary) == 4
    for prediction in (*decoded.auxiliary, decoded.final):
        assert prediction.class_logits.shape == (B, Q, CLASSES + 1)
        assert prediction.mask_logits.shape == (B, Q, *FINE)
    assert decoded.queries.shape == (B, Q, C)


def test_final_prediction_belongs_to_the_queries_handed_on():
    decoder, pixels = _decoder(), _pixels()
    decoded = decoder(pixels, _levels())
    logits = decoder.class_embed(decoded.queries)
    assert torch.equal(logits, decoded.final.class_logits)


@pytest.mark.parametrize('num_layers', [1, 2, 3])
def test_layers_read_the_levels_from_coarse_to_fine(num_layers):
    decoder, pixels, depth = _decoder(num_layers), _pixels(), _levels()
    before = decoder(pixels, depth).queries
    for level in range(3):
        for source in ('image', 'depth'):
            image_levels, depth_levels = list(pixels.pyramid), list(depth)
            changed = image_levels if source == 'image' else depth_levels
            changed[level] = changed[level] + 1
            after = decoder(
                PixelFeatures(pixels.mask_features, tuple(image_levels)),
                tuple(depth_levels),
            ).queries
            assert torch.equal(before, after) == (level >= num_layers)


def test_images_of_a_batch_do_not_mix():
    decoder, pixels, depth = _decoder(), _pixels(3), _levels(3)
    together = decoder(pixels, depth)
    for b in range(3):
        one = slice(b, b + 1)
        alone = decoder(
            PixelFeatures(
                pixels.mask_features[one], tuple(x[one] for x in pixels.pyramid)
            ),
            tuple(x[one] for x in depth),
        )
        torch.testing.assert_close(
            alone.final.mask_logits[0],
            together.final.mask_logits[b],
            atol=1e-4,
            rtol=1e-4,
        )


def test_permuted_queries_give_permuted_predictions():
    decoder, pixels, depth = _decoder(), _pixels(), _levels()
    before = decoder(pixels, depth)
    order = torch.tensor([3, 0, 4, 1, 2])
    for embedding in (decoder.query_content, decoder.query_position):
        embedding.weight.data = embedding.weight.data[order]
    after = decoder(pixels, depth)
    torch.testing.assert_close(
        after.final.class_logits, before.final.class_logits[:, order]
    )


def test_every_parameter_is_used():
    decoder = _decoder(num_layers=3)
    decoded = decoder(_pixels(), _levels())
    loss = sum(
        p.class_logits.square().sum() + p.mask_logits.square().sum()
        for p in (*decoded.auxiliary, decoded.final)
    )
    loss.backward()
    assert [n for n, p in decoder.named_parameters() if p.grad is None] == []
    assert all(p.grad.isfinite().all() for p in decoder.parameters())


def test_attended_cells_by_hand():
    mask_logits = torch.tensor(
        [
            [
                # Means of the 2x2 blocks: +1, -1.
                [[4.0, 0, -1, -1], [0.0, 0, -1, -1]],
                # Nowhere positive: the query may look everywhere.
                [[-1.0, -1, -2, -2], [-1.0, -1, -2, -2]],
                # Exactly one half counts.
                [[-3.0, 3, -5, 1], [3.0, -3, 1, 1]],
            ]
        ],
        requires_grad=True,
    )
    attended = attended_cells(mask_logits, (1, 2))
    assert attended.tolist() == [[[True, False], [True, True], [True, False]]]
    assert not attended.requires_grad


def test_levels_must_fit():
    decoder, depth = _decoder(), _levels()
    with pytest.raises(
        ValueError, match=r'expects 3 image levels .*sizes of the image'
    ):
        decoder(_pixels(), depth[::-1])
    with pytest.raises(ValueError, match='expects 3 image levels'):
        decoder(PixelFeatures(torch.randn(B, CM, *FINE), _levels()[:2]), depth[:2])


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match=r'channels=10 .* divisible by 4'):
        DepthAwareDecoder(num_classes=3, channels=10, num_heads=2)
    with pytest.raises(ValueError, match='num_queries must be positive, got 0'):
        DepthAwareDecoder(num_classes=3, channels=8, num_heads=2, num_queries=0)


def _depth_pyramid(batch: int, rows: int, columns: int) -> tuple[torch.Tensor, ...]:
    return tuple(torch.randn(batch, 4, s * rows, s * columns) for s in (8, 4, 2, 1))


@pytest.mark.parametrize('grid', [(5, 7), (4, 6), (1, 1)])
def test_depth_levels_get_the_sizes_of_the_image_levels(grid):
    rows, columns = grid
    coarsest = ((rows + 1) // 2, (columns + 1) // 2)
    sizes = [coarsest, grid, (2 * rows, 2 * columns)]
    levels = DepthProjector(4, 6).train()(_depth_pyramid(1, *grid), sizes)
    assert [tuple(level.shape) for level in levels] == [(1, 6, *s) for s in sizes]


def test_coarsest_depth_map_makes_the_coarsest_level():
    projector = DepthProjector(4, 6).eval()
    pyramid = list(_depth_pyramid(2, 3, 5))
    before = projector(tuple(pyramid), SIZES)
    pyramid[3] = pyramid[3] + 1
    after = projector(tuple(pyramid), SIZES)
    same = [torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert same == [False, True, True]


def test_the_finest_depth_map_is_not_needed():
    projector = DepthProjector(4, 6).eval()
    pyramid = _depth_pyramid(2, 3, 5)
    with_finest, without = projector(pyramid, SIZES), projector(pyramid[1:], SIZES)
    assert all(torch.equal(a, b) for a, b in zip(with_finest, without, strict=True))


def test_projector_needs_a_map_and_a_size_per_level():
    projector = DepthProjector(4, 6)
    with pytest.raises(ValueError, match=r'expects 3 sizes .* got 2 and 4'):
        projector(_depth_pyramid(1, 3, 5), SIZES[:2])
    with pytest.raises(ValueError, match=r'expects 3 sizes .* got 3 and 2'):
        projector(_depth_pyramid(1, 3, 5)[:2], SIZES)
