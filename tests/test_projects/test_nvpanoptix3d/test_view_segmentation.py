import torch
from torch.nn import functional as F

from mmp3d.structures import FRONT3D, CameraBatch, FrustumGrid, QueryPredictions
from projects.NvPanoptix3D.nvpanoptix3d.structures import ViewPredictions
from projects.NvPanoptix3D.nvpanoptix3d.view_segmentation import segment_views

RULES = {
    'label_space': FRONT3D,
    'object_mask_threshold': 0.3,
    'overlap_threshold': 0.2,
}


def views_of(class_logits, mask_logits, depth) -> ViewPredictions:
    nothing = torch.zeros(len(class_logits), 1, 1, 1)
    return ViewPredictions(
        final=QueryPredictions(class_logits, mask_logits),
        auxiliary=(),
        queries=nothing[..., 0],
        depth=depth,
        plane_logits=None,
        mask_features=nothing,
        pyramid=(nothing, nothing, nothing),
        depth_features=nothing,
        pose_encoding=None,
    )


def inputs_of(padded_size, image_sizes) -> CameraBatch:
    return CameraBatch(
        images=torch.zeros(len(image_sizes), 1, 3, *padded_size),
        K=torch.eye(3).expand(len(image_sizes), 1, 3, 3),
        image_sizes=image_sizes,
        grid=FrustumGrid(dims=(8, 8, 8)),
    )


def random_views(batch_size=2) -> ViewPredictions:
    return views_of(
        torch.randn(batch_size, 6, 14) * 4,
        torch.randn(batch_size, 6, 4, 5) * 4,
        torch.rand(batch_size, 7, 9) * 5,
    )


def one_of(views: ViewPredictions, b: int) -> ViewPredictions:
    final = views.final
    return views_of(
        final.class_logits[b : b + 1],
        final.mask_logits[b : b + 1],
        views.depth[b : b + 1],
    )


def test_every_image_is_cut_to_its_own_size():
    views = random_views()
    sizes = ((16, 20), (11, 13))
    for b, view in enumerate(segment_views(views, inputs_of((16, 20), sizes), **RULES)):
        assert tuple(view.depth.shape) == sizes[b]
        assert tuple(view.panoptic.ids.shape) == sizes[b]
        assert tuple(view.panoptic.class_probs.shape) == (13, *sizes[b])
        assert view.panoptic.segments


def test_a_batch_equals_its_images_one_by_one():
    views = random_views()
    sizes = ((16, 20), (11, 13))
    together = segment_views(views, inputs_of((16, 20), sizes), **RULES)
    for b, size in enumerate(sizes):
        (alone,) = segment_views(
            one_of(views, b), inputs_of((16, 20), (size,)), **RULES
        )
        torch.testing.assert_close(together[b].depth, alone.depth)
        assert together[b].panoptic.ids.tolist() == alone.panoptic.ids.tolist()
        assert together[b].panoptic.segments == alone.panoptic.segments


def test_the_reduced_plane_goes_through_half_the_padded_size():
    views = random_views(1)
    (view,) = segment_views(
        views, inputs_of((16, 20), ((12, 18),)), plane_size=(5, 8), **RULES
    )
    half = F.interpolate(views.depth[:, None], (8, 10), mode='bilinear')
    plane = F.interpolate(half[:, :, :6, :9], (5, 8), mode='bilinear')[0, 0]
    torch.testing.assert_close(view.depth, plane)
    assert tuple(view.panoptic.ids.shape) == (5, 8)


def test_depth_is_clamped_even_where_nothing_is_found():
    views = random_views(1)
    views.final.class_logits[..., 13] = 99.0
    views.depth[0, 0, 0], views.depth[0, -1, -1] = -3.0, 99.0
    inputs = inputs_of((16, 20), ((16, 20),))
    (clamped,) = segment_views(views, inputs, max_depth=4.0, **RULES)
    (raw,) = segment_views(views, inputs, max_depth=None, **RULES)
    assert clamped.panoptic.segments == ()
    assert clamped.depth.min() == 0
    assert clamped.depth.max() == 4
    assert raw.depth.min() < 0
    assert raw.depth.max() > 25
