import pytest
import torch

from mmp3d.models.losses import depth_l1, resize_depth


def test_unknown_pixels_do_not_bleed_into_their_neighbours():
    depth = torch.tensor([[[2.0, 2.0, 0.0, 0.0, 4.0, 0.0]]])  # 1 x 1 x 6
    resized = resize_depth(depth, (1, 3))
    torch.testing.assert_close(resized, torch.tensor([[[2.0, 0.0, 4.0]]]))


def test_the_published_resize_mixes_unknown_pixels_in():
    depth = torch.tensor([[[2.0, 2.0, 0.0, 0.0, 4.0, 0.0]]])
    resized = resize_depth(depth, (1, 3), 'bilinear')
    torch.testing.assert_close(resized, torch.tensor([[[2.0, 0.0, 2.0]]]))


@pytest.mark.parametrize('size', [(5, 7), (4, 9), (3, 3)])
def test_both_resizes_agree_on_a_complete_map(size):
    depth = torch.rand(2, 5, 7) + 0.5
    torch.testing.assert_close(
        resize_depth(depth, size), resize_depth(depth, size, 'bilinear')
    )


def test_a_map_of_the_right_size_stays():
    depth = torch.rand(2, 5, 7).round(decimals=1)
    torch.testing.assert_close(resize_depth(depth, (5, 7)), depth)


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="did you mean 'bilinear'"):
        resize_depth(torch.zeros(1, 2, 3), (1, 2), 'bilinar')


def test_error_is_a_mean_over_valid_pixels():
    depth = torch.tensor([[[1.0, 2.0, 9.0]], [[1.0, 1.0, 1.0]]])
    target = torch.tensor([[[2.0, 4.0, 0.0]], [[0.0, 0.0, 0.0]]])
    torch.testing.assert_close(
        depth_l1(depth, target, target > 0), torch.tensor([1.5, 0.0])
    )


def test_a_non_finite_pixel_outside_the_mask_does_no_harm():
    depth = torch.tensor([[[1.0, float('inf')]]], requires_grad=True)
    target = torch.tensor([[[2.0, 0.0]]])
    loss = depth_l1(depth, target, target > 0)
    loss.sum().backward()
    assert loss.item() == 1
    assert depth.grad.tolist() == [[[-1.0, 0.0]]]
