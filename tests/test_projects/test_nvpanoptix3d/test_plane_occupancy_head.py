import pytest
import torch
from torch.nn import functional as F

from projects.NvPanoptix3D.nvpanoptix3d.plane_occupancy_head import (
    PlaneOccupancyHead,
    UpProjection,
)

IN_CHANNELS = (3, 4, 5, 6)


def _head(**changes) -> PlaneOccupancyHead:
    sizes = {
        'num_planes': 7,
        'plane_size': (9, 13),
        'decoder_channels': (8, 7, 6, 5, 4),
        'fused_channels': 2,
    }
    return PlaneOccupancyHead(IN_CHANNELS, **{**sizes, **changes})


def _pyramid(batch: int, rows: int, columns: int) -> tuple[torch.Tensor, ...]:
    sizes = [
        (4 * rows, 4 * columns),
        (2 * rows, 2 * columns),
        (rows, columns),
        ((rows + 1) // 2, (columns + 1) // 2),
    ]
    return tuple(
        torch.randn(batch, channels, *size)
        for channels, size in zip(IN_CHANNELS, sizes, strict=True)
    )


@pytest.mark.parametrize('grid', [(3, 5), (4, 6)])
@pytest.mark.parametrize('fine_scale', [1, 2])
def test_the_plane_has_its_own_size(grid, fine_scale):
    logits = _head(fine_scale=fine_scale)(_pyramid(2, *grid))
    assert logits.shape == (2, 7, 9, 13)


def test_a_single_token_trains():
    head = _head().train()
    head(_pyramid(1, 1, 1)).square().mean().backward()
    assert all(p.grad.isfinite().all() for p in head.parameters())


def test_images_of_a_batch_do_not_mix():
    head = _head().eval()
    pyramid = _pyramid(3, 3, 5)
    together = head(pyramid)
    for b in range(3):
        alone = head(tuple(level[b : b + 1] for level in pyramid))
        torch.testing.assert_close(alone[0], together[b], atol=1e-5, rtol=1e-4)


def test_every_parameter_is_used():
    head = _head()
    head(_pyramid(2, 3, 4)).square().sum().backward()
    assert [n for n, p in head.named_parameters() if p.grad is None] == []


def test_both_convolutions_at_once_equal_one_after_the_other():
    block = UpProjection(3, 5).eval()
    features = torch.randn(2, 3, 4, 6)
    big = F.interpolate(features, (7, 9), mode='bilinear', align_corners=True)
    expected = (block.refine(block.widen(big).relu()) + block.skip(big)).relu()
    result = block(features, (7, 9))
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=1e-4)
    for parameter in (block.widen.conv.weight, block.skip.conv.weight):
        a, b = (
            torch.autograd.grad(out.square().sum(), parameter, retain_graph=True)[0]
            for out in (result, expected)
        )
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match='one entry more than in_channels'):
        _head(decoder_channels=(8, 7, 6, 5))
    with pytest.raises(ValueError, match='expects 4 maps, fine to coarse, got 3'):
        _head()(_pyramid(1, 3, 4)[:3])
