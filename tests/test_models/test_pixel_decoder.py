import pytest
import torch

from mmp3d.models.pixel_decoders import MSDeformAttnPixelDecoder
from mmp3d.registry import MODELS

IN_CHANNELS = (5, 6, 7, 9)
# (token rows, columns): the coarsest map is half of an odd number, rounded up.
GRIDS = [(5, 7), (4, 6), (3, 8), (1, 1)]


def _decoder(**changes) -> MSDeformAttnPixelDecoder:
    sizes = {
        'channels': 24,
        'mask_channels': 10,
        'num_layers': 2,
        'num_heads': 3,
        'num_points': 2,
        'feedforward_channels': 20,
        'num_groups': 6,
    }
    return MSDeformAttnPixelDecoder(IN_CHANNELS, **{**sizes, **changes})


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


@pytest.mark.parametrize('grid', GRIDS)
def test_maps_keep_their_sizes(grid):
    pyramid = _pyramid(2, *grid)
    pixels = _decoder()(pyramid)
    assert pixels.mask_features.shape == (2, 10, *pyramid[0].shape[-2:])
    assert [tuple(level.shape) for level in pixels.pyramid] == [
        (2, 24, *pyramid[i].shape[-2:]) for i in (3, 2, 1)
    ]


def test_images_of_a_batch_do_not_mix():
    decoder = _decoder().eval()
    pyramid = _pyramid(3, 5, 7)
    together = decoder(pyramid)
    for b in range(3):
        alone = decoder(tuple(level[b : b + 1] for level in pyramid))
        torch.testing.assert_close(
            alone.mask_features[0], together.mask_features[b], atol=1e-5, rtol=1e-4
        )
        torch.testing.assert_close(
            alone.pyramid[1][0], together.pyramid[1][b], atol=1e-5, rtol=1e-4
        )


def test_every_parameter_is_used():
    decoder = _decoder()
    pixels = decoder(_pyramid(1, 4, 5))
    sum(
        level.square().sum() for level in (pixels.mask_features, *pixels.pyramid)
    ).backward()
    unused = [n for n, p in decoder.named_parameters() if p.grad is None]
    assert unused == []


def test_computes_in_single_precision():
    decoder = _decoder()
    pyramid = tuple(level.bfloat16() for level in _pyramid(1, 3, 4))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        pixels = decoder(pyramid)
    assert pixels.mask_features.dtype == torch.float32
    exact = decoder(tuple(level.float() for level in pyramid))
    assert torch.equal(pixels.mask_features, exact.mask_features)


def test_starts_like_the_published_one():
    decoder = _decoder(channels=96, num_heads=4, num_groups=32)
    layer = decoder.encoder.layers[0]
    attention = layer.self_attn
    assert not attention.sampling_offsets.weight.any()
    assert not attention.attention_weights.weight.any()
    # Head 1 of 4 looks along +y: its points lie 1 and 2 cells below on every level.
    offsets = attention.sampling_offsets.bias.view(4, 3, 2, 2)[1]
    expected = torch.tensor([[0.0, 1.0], [0.0, 2.0]]).expand(3, 2, 2)
    torch.testing.assert_close(offsets, expected, atol=1e-6, rtol=0)
    weight = layer.ffn.layers[0][0].weight
    bound = (6 / sum(weight.shape)) ** 0.5
    assert 0.98 * bound < weight.abs().max() <= bound
    assert decoder.level_encoding.weight.std().item() == pytest.approx(1.0, abs=0.2)
    assert not decoder.mask_feature.bias.any()


def test_is_found_by_name_in_our_scope():
    built = MODELS.build(
        {
            'type': 'MSDeformAttnPixelDecoder',
            'in_channels': IN_CHANNELS,
            'channels': 32,
            'num_layers': 1,
            'num_heads': 2,
        }
    )
    assert isinstance(built, MSDeformAttnPixelDecoder)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'num_heads': 5}, 'channels=24 .* divisible by num_heads=5'),
        ({'num_groups': 7}, 'channels=24 .* divisible by num_groups=7'),
        ({'channels': 18}, 'channels=18 .* divisible by 4'),
    ],
)
def test_channels_must_be_divisible(changes, message):
    with pytest.raises(ValueError, match=message):
        _decoder(**changes)


def test_four_maps_are_expected():
    with pytest.raises(ValueError, match='must name 4 maps'):
        MSDeformAttnPixelDecoder((5, 6, 7))
    with pytest.raises(ValueError, match='expects 4 maps, fine to coarse, got 3'):
        _decoder()(_pyramid(1, 3, 4)[:3])
