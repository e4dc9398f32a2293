"""The metrics that a config names, fed with samples."""

import multiprocessing
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData

from mmp3d.evaluation import (
    DepthError,
    ImagePanopticQuality,
    PanopticReconstructionQuality,
)
from mmp3d.evaluation.functional import volume_ground_truth
from mmp3d.registry import METRICS
from mmp3d.structures import (
    FRONT3D,
    MATTERPORT3D,
    FrustumGrid,
    PanopticReconstructionSample,
    PanopticSegmentation,
    Segment,
    VolumeData,
)

BED, CHAIR, WALL, FLOOR = 2, 3, 10, 11
GRID = FrustumGrid(dims=(24, 16, 32))


def _volumes(seed):
    """A floor, a wall and three boxes."""
    rng = np.random.default_rng(seed)
    semantic = np.zeros(GRID.dims, np.uint8)
    instances = np.zeros(GRID.dims, np.int32)
    semantic[:, 12:14], semantic[:, :12, 28:] = FLOOR, WALL
    for instance, label in ((4, CHAIR), (9, BED), (11, CHAIR)):
        x, y, z = rng.integers(0, (16, 6, 20))
        semantic[x : x + 6, y : y + 5, z : z + 7] = label
        instances[x : x + 6, y : y + 5, z : z + 7] = instance
    tudf = rng.uniform(0, 2, GRID.dims).astype(np.float32)
    tudf[semantic == 0] = 12
    return semantic, instances, tudf


def _image(seed, size=(20, 30)):
    rng = np.random.default_rng(seed)
    semantic = np.full(size, WALL, np.int32)
    instances = np.zeros(size, np.int32)
    semantic[12:], semantic[:2, :5] = FLOOR, 0
    semantic[3:9, 4:9], instances[3:9, 4:9] = CHAIR, 7
    semantic[8:15, 15:25], instances[8:15, 15:25] = BED, 2
    depth = rng.uniform(0.5, 5.5, size).astype(np.float32)
    depth[0] = 0
    return semantic, instances, depth


def perfect_sample(seed=0):
    """Ground truth, and the same given as prediction."""
    semantic, instances, tudf = _volumes(seed)
    sample = PanopticReconstructionSample(
        metainfo={'sample_id': f's{seed}', 'label_space': FRONT3D, 'grid': GRID}
    )
    frustum = np.random.default_rng(seed).random(GRID.dims) < 0.9
    sample.gt_volume = VolumeData(
        tudf=torch.from_numpy(tudf),
        semantic=torch.from_numpy(semantic),
        instance_ids=torch.from_numpy(instances),
        frustum_mask=torch.from_numpy(frustum),
    )
    ids, labels = volume_ground_truth(semantic, instances, FRONT3D)
    sample.pred_volume = VolumeData(tudf=torch.from_numpy(tudf))
    sample.pred_volume_seg = PanopticSegmentation(
        torch.from_numpy(ids),
        tuple(
            Segment(i, label, FRONT3D.is_thing(label)) for i, label in labels.items()
        ),
    )
    semantic, instances, depth = _image(seed)
    sample.gt_panoptic_seg = PixelData(
        semantic=torch.from_numpy(semantic[None]),
        instance_ids=torch.from_numpy(instances[None]),
    )
    sample.gt_depth_map = PixelData(depth=torch.from_numpy(depth[None]))
    sample.pred_depth_map = PixelData(depth=torch.from_numpy(depth[None]))
    ids = np.zeros(semantic.shape, np.int32)
    segments = []
    for segment_id, label in enumerate((FLOOR, CHAIR, WALL, BED), start=1):
        ids[semantic == label] = segment_id
        segments.append(Segment(segment_id, label, FRONT3D.is_thing(label)))
    sample.pred_panoptic_seg = PanopticSegmentation(
        torch.from_numpy(ids), tuple(segments)
    )
    return sample


def _evaluate(metric, samples):
    metric.process(None, [sample.to_dict() for sample in samples])
    return metric.evaluate(size=len(samples))


def _noisy(seed):
    """A sample whose predictions are shifted, partly relabelled and partly missing."""
    sample = perfect_sample(seed)
    volume, image = sample.pred_volume_seg, sample.pred_panoptic_seg
    sample.pred_volume_seg = PanopticSegmentation(
        volume.ids.roll(seed % 3, 2), volume.segments[: 4 + seed % 2]
    )
    sample.pred_panoptic_seg = PanopticSegmentation(
        image.ids.roll(seed, 1), image.segments[seed % 2 :]
    )
    sample.pred_depth_map.depth = sample.pred_depth_map.depth * (1 + 0.1 * seed)
    return sample


def _all_metrics():
    return [
        METRICS.build({'type': name})
        for name in (
            'PanopticReconstructionQuality',
            'ImagePanopticQuality',
            'DepthError',
        )
    ]


@pytest.mark.parametrize(('iso', 'factor'), [(1.0, 1), (2.0, 2)])
def test_true_volumes_as_prediction_score_exactly_100(iso, factor):
    metric = PanopticReconstructionQuality(iso, factor)
    metrics = _evaluate(metric, [perfect_sample(seed) for seed in range(3)])
    expected = {
        f'reconstruction/{name}{suffix}'
        for name in ('PRQ', 'RSQ', 'RRQ')
        for suffix in ('', '_things', '_stuff', '_bed', '_chair', '_wall', '_floor')
    }
    assert set(metrics) == expected
    assert set(metrics.values()) == {100.0}


def test_true_images_as_prediction_score_exactly_100():
    metrics = _evaluate(ImagePanopticQuality(), [perfect_sample(s) for s in range(3)])
    present = [value for name, value in metrics.items() if 'parity' not in name]
    assert set(present) == {100.0}
    np.testing.assert_allclose(metrics['image/PQ_parity'], 100 * 4 / 12)
    np.testing.assert_allclose(metrics['image/DPQ_0.1_stuff_parity'], 100 * 2 / 3)


def test_true_depth_as_prediction_has_no_error():
    metrics = _evaluate(DepthError(), [perfect_sample()])
    assert metrics == {
        'depth/abs_rel': 0.0,
        'depth/rmse': 0.0,
        'depth/delta_1.25': 100.0,
    }


def test_depth_errors_are_averaged_over_images():
    samples = [perfect_sample(seed) for seed in range(3)]
    samples[1].pred_depth_map.depth = samples[1].pred_depth_map.depth * 1.5
    samples[2].gt_depth_map.depth = torch.zeros(1, 20, 30)
    metrics = _evaluate(DepthError(), samples)
    np.testing.assert_allclose(metrics['depth/abs_rel'], 0.25, rtol=1e-6)
    np.testing.assert_allclose(metrics['depth/delta_1.25'], 50)


def test_depth_of_other_rooms_does_not_count():
    sample = perfect_sample()
    room = torch.ones(1, 20, 30, dtype=torch.bool)
    room[:, :, 12:] = False
    sample.pred_depth_map.depth = sample.pred_depth_map.depth * room
    assert _evaluate(DepthError(), [sample])['depth/abs_rel'] > 0.3
    sample.room_map = PixelData(mask=room)
    assert _evaluate(DepthError(), [sample])['depth/abs_rel'] == 0


def test_without_any_depth_the_error_is_infinite():
    sample = perfect_sample()
    sample.gt_depth_map.depth = torch.zeros(1, 20, 30)
    metrics = _evaluate(DepthError(), [sample])
    assert metrics['depth/abs_rel'] == np.inf and metrics['depth/delta_1.25'] == 0


def test_the_depth_gate_takes_pixels_away():
    sample = perfect_sample()
    wrong = sample.pred_depth_map.depth.clone()
    wrong[:, 3:9, 4:9] *= 1.3
    sample.pred_depth_map.depth = wrong
    metrics = _evaluate(ImagePanopticQuality(), [sample])
    assert metrics['image/DPQ_0.5'] == metrics['image/PQ'] == 100
    np.testing.assert_allclose(metrics['image/DPQ_0.1'], 75)  # the chair of 4 classes
    np.testing.assert_allclose(metrics['image/DPQ'], (100 + 75 + 75) / 3)


@pytest.mark.parametrize(('mode', 'expected'), [('none', 1.0), ('numbered', 0.6)])
def test_void_counts_in_the_union_only_on_request(mode, expected):
    sample = perfect_sample()
    semantic = torch.zeros(1, 4, 5, dtype=torch.int32)
    semantic[0, :, :3] = WALL
    void_is_numbered = (semantic == 0).int()
    sample.gt_panoptic_seg = PixelData(semantic=semantic, instance_ids=void_is_numbered)
    sample.pred_panoptic_seg = PanopticSegmentation(
        torch.ones(4, 5, dtype=torch.int32), (Segment(1, WALL, False),)
    )
    metric = ImagePanopticQuality(depth_thresholds=(), void_in_union=mode)
    metrics = _evaluate(metric, [sample])
    np.testing.assert_allclose(metrics['image/PQ'], 100 * expected)
    assert 'image/DPQ' not in metrics


def test_a_prediction_on_void_is_forgiven():
    sample = perfect_sample()
    ids = sample.pred_panoptic_seg.ids.clone()
    ids[:2, :5] = 9
    segments = (*sample.pred_panoptic_seg.segments, Segment(9, BED, True))
    sample.pred_panoptic_seg = PanopticSegmentation(ids, segments)
    assert _evaluate(ImagePanopticQuality(), [sample])['image/PQ_bed'] == 100


def test_predictions_of_another_size_are_resized():
    sample = perfect_sample()
    sample.gt_panoptic_seg = PixelData(
        **{
            name: field.repeat_interleave(2, 1).repeat_interleave(3, 2)
            for name, field in sample.gt_panoptic_seg.items()
        }
    )
    assert _evaluate(ImagePanopticQuality(), [sample])['image/DPQ'] == 100


def test_empty_predictions_and_empty_truth_have_defined_scores():
    nothing, untrue = perfect_sample(0), perfect_sample(1)
    nothing.pred_volume_seg = PanopticSegmentation(
        torch.zeros(GRID.dims, dtype=torch.int32), ()
    )
    nothing.pred_panoptic_seg = PanopticSegmentation(
        torch.zeros(20, 30, dtype=torch.int32), ()
    )
    untrue.gt_volume.semantic = torch.zeros(GRID.dims, dtype=torch.uint8)
    untrue.gt_volume.instance_ids = torch.zeros(GRID.dims, dtype=torch.int32)
    untrue.gt_panoptic_seg.semantic = torch.zeros(1, 20, 30, dtype=torch.int32)
    for sample in (nothing, untrue):
        volume = _evaluate(PanopticReconstructionQuality(), [sample])
        image = _evaluate(ImagePanopticQuality(), [sample])
        assert volume['reconstruction/PRQ'] == image['image/PQ'] == 0
        assert np.isfinite([*volume.values(), *image.values()]).all()


def test_no_sample_at_all_reports_nothing():
    assert PanopticReconstructionQuality().compute_metrics([]) == {}
    assert ImagePanopticQuality().compute_metrics([]) == {}


def test_results_are_small():
    metric = PanopticReconstructionQuality()
    metric.process(None, [perfect_sample().to_dict()])
    assert len(pickle.dumps(metric.results)) < 2000


def _worker(rank, port, queue):
    torch.distributed.init_process_group(
        'gloo', init_method=f'tcp://127.0.0.1:{port}', rank=rank, world_size=2
    )
    metrics = _all_metrics()
    # A sampler shares out 5 samples as 0 2 4 and 1 3 0: the last one is a duplicate.
    for seed in ((0, 2, 4), (1, 3, 0))[rank]:
        for metric in metrics:
            metric.process(None, [_noisy(seed).to_dict()])
    queue.put([metric.evaluate(size=5) for metric in metrics])
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def test_two_processes_report_what_one_reports(tmp_path):
    samples = [_noisy(seed) for seed in range(5)]
    alone = [_evaluate(metric, samples) for metric in _all_metrics()]
    assert 0 < alone[0]['reconstruction/PRQ'] < 100 and 0 < alone[1]['image/PQ'] < 100
    context = multiprocessing.get_context('fork')
    queue = context.SimpleQueue()
    port = 29500 + np.random.default_rng().integers(2000)
    workers = [
        context.Process(target=_worker, args=(rank, port, queue)) for rank in (0, 1)
    ]
    for worker in workers:
        worker.start()
    together = [queue.get() for _ in workers]
    for worker in workers:
        worker.join()
    for metrics in together:
        assert metrics == alone


def test_missing_fields_and_mixed_label_spaces_are_refused():
    sample = perfect_sample()
    del sample.pred_volume_seg
    with pytest.raises(KeyError, match='needs the predictions of a stage-2 model'):
        _evaluate(PanopticReconstructionQuality(), [sample])
    del sample.gt_depth_map
    with pytest.raises(KeyError, match=r"sample 's0' has no gt_depth_map\.depth"):
        _evaluate(DepthError(), [sample])
    metric = ImagePanopticQuality(depth_thresholds=())
    with pytest.raises(KeyError, match='has no label_space'):
        metric.process(None, [{'sample_id': 'x'}])
    other = perfect_sample(1)
    fewer = replace(
        MATTERPORT3D,
        name='small',
        classes=MATTERPORT3D.classes[:-1],
        palette=MATTERPORT3D.palette[:-1],
        display_palette=MATTERPORT3D.display_palette[:-1],
    )
    other.set_metainfo({'label_space': fewer})
    with pytest.raises(ValueError, match="label space 'small', earlier ones 'front3d'"):
        _evaluate(metric, [perfect_sample(), other])
    with pytest.raises(ValueError, match='void_in_union must be one of'):
        ImagePanopticQuality(void_in_union='all')
