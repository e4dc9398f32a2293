import pytest
import torch
from mmengine.structures import InstanceData, PixelData

from mmp3d.models.pixel_decoders import MSDeformAttnPixelDecoder
from mmp3d.registry import MODELS
from mmp3d.structures import (
    CameraBatch,
    FrustumGrid,
    GeometryFeatures,
    PanopticReconstructionSample,
)
from projects.NvPanoptix3D.nvpanoptix3d.panoptic_depth_criterion import (
    PanopticDepthCriterion,
)
from projects.NvPanoptix3D.nvpanoptix3d.panoptic_depth_head import PanopticDepthHead

B, Q, PLANES, PLANE = 2, 6, 5, (8, 11)
IN_CHANNELS = (3, 4, 5, 6)
ROWS, COLUMNS = 3, 5  # tokens
PADDED = (32, 64)
IMAGES = ((24, 40), (32, 61))


def _head(**changes) -> PanopticDepthHead:
    parts = {
        'type': 'PanopticDepthHead',
        'decoder': {
            'type': 'DepthAwareDecoder',
            'num_classes': 13,
            'channels': 16,
            'mask_channels': 8,
            'num_queries': Q,
            'num_layers': 3,
            'num_heads': 2,
            'feedforward_channels': 12,
        },
        'depth_projector': {
            'type': 'DepthProjector',
            'in_channels': 4,
            'channels': 16,
        },
        'plane_occupancy': {
            'type': 'PlaneOccupancyHead',
            'in_channels': IN_CHANNELS,
            'num_planes': PLANES,
            'plane_size': PLANE,
            'decoder_channels': (8, 7, 6, 5, 4),
            'fused_channels': 2,
        },
        'criterion': {'type': 'PanopticDepthCriterion', 'num_points': 50},
    }
    return MODELS.build({**parts, **changes})


def _pixel_decoder() -> MSDeformAttnPixelDecoder:
    return MSDeformAttnPixelDecoder(
        IN_CHANNELS, 16, 8, num_layers=1, num_heads=2, num_groups=4
    )


def _features(batch: int = B) -> GeometryFeatures:
    pyramid_sizes = [(12, 20), (6, 10), (3, 5), (2, 3)]
    return GeometryFeatures(
        pyramid=tuple(
            torch.randn(batch, channels, *size)
            for channels, size in zip(IN_CHANNELS, pyramid_sizes, strict=True)
        ),
        depth_pyramid=tuple(
            torch.randn(batch, 4, s * ROWS, s * COLUMNS) for s in (8, 4, 2, 1)
        ),
        depth=torch.rand(batch, 14 * ROWS, 14 * COLUMNS) * 5 + 0.5,
        pose_encoding=None,
    )


def _inputs(batch: int = B) -> CameraBatch:
    K = torch.tensor([[60.0, 0, 32], [0, 60.0, 16], [0, 0, 1]], dtype=torch.float64)
    return CameraBatch(
        images=torch.rand(batch, 1, 3, *PADDED),
        K=K.expand(batch, 1, 3, 3),
        image_sizes=IMAGES[:batch],
        grid=FrustumGrid(dims=(16, 16, 16), voxel_size=0.3),
    )


def _sample(size: tuple[int, int], num_instances: int) -> PanopticReconstructionSample:
    sample = PanopticReconstructionSample(metainfo={'loss_weight': 1.0})
    masks = torch.zeros(num_instances, *size, dtype=torch.bool)
    for i in range(num_instances):
        masks[i, 4 * i : 4 * i + 4, 3:12] = True
    sample.gt_instances = InstanceData(
        labels=torch.arange(1, num_instances + 1), masks=masks
    )
    sample.gt_depth_map = PixelData(depth=torch.rand(1, *size) + 1)
    sample.gt_plane_depth = PixelData(depth=torch.rand(1, *PLANE) + 1)
    occupancy = torch.rand(PLANES, *PLANE) > 0.5
    sample.gt_plane_occupancy = PixelData(occupancy=occupancy)
    return sample


def test_hands_on_everything_stage_1_knows():
    features = _features()
    pixels = _pixel_decoder()(features.pyramid)
    views = _head()(pixels, features)
    assert views.final.class_logits.shape == (B, Q, 14)
    assert views.final.mask_logits.shape == (B, Q, 12, 20)
    assert len(views.auxiliary) == 3
    assert views.queries.shape == (B, Q, 16)
    assert views.plane_logits.shape == (B, PLANES, *PLANE)
    assert views.depth is features.depth
    assert views.depth_features is features.depth_pyramid[-1]
    assert views.mask_features is pixels.mask_features
    assert views.pyramid is pixels.pyramid
    assert views.pose_encoding is None


def test_plane_occupancy_can_be_left_out():
    features = _features()
    head = _head(plane_occupancy=None)
    views = head(_pixel_decoder()(features.pyramid), features)
    assert views.plane_logits is None
    assert not [name for name in head.state_dict() if 'plane' in name]
    with pytest.raises(ValueError, match=r"segment\(size='plane'\) expects a plane"):
        head.segment(views, _inputs(), size='plane')


@pytest.mark.parametrize('num_instances', [(2, 3), (0, 2), (0, 0)])
def test_loss_reaches_every_parameter(num_instances):
    head, decoder, features, inputs = _head(), _pixel_decoder(), _features(), _inputs()
    samples = [_sample(s, n) for s, n in zip(IMAGES, num_instances, strict=True)]
    views = head(decoder(features.pyramid), features)
    losses = head.loss(views, inputs, samples)
    assert {'loss_cls', 'loss_mask', 'loss_plane_occupancy', 'd2.loss_dice'} <= set(
        losses
    )
    total = sum(losses.values())
    assert total.isfinite()
    total.backward()
    trained = [*head.parameters(), *decoder.parameters()]
    assert all(p.grad is None or p.grad.isfinite().all() for p in trained)
    if any(num_instances):
        assert all(p.grad is not None for p in trained)


def test_a_single_image_trains():
    head, decoder, features = _head().train(), _pixel_decoder(), _features(1)
    views = head(decoder(features.pyramid), features)
    losses = head.loss(views, _inputs(1), [_sample(IMAGES[0], 2)])
    sum(losses.values()).backward()
    assert all(p.grad.isfinite().all() for p in head.parameters())


def test_match_pairs_final_queries_with_instances():
    head, features = _head(), _features()
    views = head(_pixel_decoder()(features.pyramid), features)
    samples = [_sample(IMAGES[0], 3), _sample(IMAGES[1], 0)]
    first, second = head.match(views, _inputs(), samples)
    assert sorted(first.target_indices.tolist()) == [0, 1, 2]
    assert len(second.query_indices) == 0


@pytest.mark.parametrize('threshold', [0.0, 1.0])
def test_segments_have_the_size_asked_for(threshold):
    head, features = _head(object_mask_threshold=threshold), _features()
    views = head(_pixel_decoder()(features.pyramid), features)
    for size, expected in (('image', IMAGES), ('plane', (PLANE, PLANE))):
        images = head.segment(views, _inputs(), size=size)
        assert [tuple(image.panoptic.ids.shape) for image in images] == list(expected)
        assert [tuple(image.depth.shape) for image in images] == list(expected)
        if threshold == 1.0:
            assert all(image.panoptic.segments == () for image in images)


def test_unknown_size_is_refused():
    head, features = _head(), _features()
    views = head(_pixel_decoder()(features.pyramid), features)
    with pytest.raises(ValueError, match=r"size must be one of .*'plain'.*'plane'"):
        head.segment(views, _inputs(), size='plain')


def test_a_head_without_criterion_only_predicts():
    head, features = _head(criterion=None), _features()
    views = head(_pixel_decoder()(features.pyramid), features)
    for method in (head.loss, head.match):
        with pytest.raises(RuntimeError, match='criterion=None and can only predict'):
            method(views, _inputs(), [])


def test_criterion_is_built_by_name():
    assert isinstance(_head().criterion, PanopticDepthCriterion)
