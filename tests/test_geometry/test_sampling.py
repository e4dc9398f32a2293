import pytest
import torch

from mmp3d.geometry.sampling import (
    pick_uncertain_points,
    sample_maps,
    uniform_points,
)


def test_points_at_pixel_centres_read_the_pixels():
    maps = torch.arange(2 * 3 * 4.0).view(1, 2, 3, 4)
    points = torch.tensor([[[0.5 / 4, 0.5 / 3], [3.5 / 4, 1.5 / 3]]])
    torch.testing.assert_close(
        sample_maps(maps, points), torch.tensor([[[0.0, 7.0], [12.0, 19.0]]])
    )


def test_half_of_a_border_point_lies_outside():
    maps = torch.full((1, 1, 3, 4), 8.0)
    edge, corner = [0.0, 0.5], [1.0, 1.0]
    values = sample_maps(maps, torch.tensor([[edge, corner]]))
    torch.testing.assert_close(values, torch.tensor([[[4.0, 2.0]]]))


def test_every_map_is_read_at_its_own_points():
    maps = torch.rand(2, 1, 5, 7)
    points = torch.rand(2, 3, 2)
    one_by_one = [sample_maps(maps[i : i + 1], points[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(sample_maps(maps, points), torch.cat(one_by_one))


@pytest.mark.parametrize('shape', [(0, 1, 5, 7), (2, 0, 5, 7)])
def test_no_map_gives_no_value(shape):
    points = torch.rand(shape[0], 3, 2)
    assert sample_maps(torch.zeros(shape), points).shape == (*shape[:2], 3)


def test_uniform_points_lie_in_the_map_and_follow_the_seed():
    torch.manual_seed(3)
    points = uniform_points(2, 5, torch.device('cpu'))
    torch.manual_seed(3)
    again = uniform_points(2, 5, torch.device('cpu'))
    assert points.shape == (2, 5, 2)
    assert ((points >= 0) & (points < 1)).all()
    torch.testing.assert_close(points, again)


def test_the_points_next_to_the_border_of_a_mask_are_picked():
    # Logits rise from -3.5 to 3.5 along x: the border is at x = 0.5.
    logits = torch.linspace(-3.5, 3.5, 8).expand(2, 3, 8)
    x = torch.tensor([[0.1, 0.45, 0.9, 0.6], [0.52, 0.2, 0.49, 0.8]])
    candidates = torch.stack((x, torch.full_like(x, 0.5)), dim=-1)
    picked = pick_uncertain_points(logits, candidates, 2)
    assert picked[0, :, 0].sort().values.tolist() == pytest.approx([0.45, 0.6])
    assert picked[1, :, 0].sort().values.tolist() == pytest.approx([0.49, 0.52])


def test_no_gradient_passes_through_the_choice():
    logits = torch.randn(1, 3, 8, requires_grad=True)
    assert not pick_uncertain_points(logits, torch.rand(1, 6, 2), 2).requires_grad


def test_too_few_candidates_are_refused():
    with pytest.raises(ValueError, match='at least 4 candidates per mask, got 3'):
        pick_uncertain_points(torch.zeros(1, 3, 8), torch.rand(1, 3, 2), 4)
