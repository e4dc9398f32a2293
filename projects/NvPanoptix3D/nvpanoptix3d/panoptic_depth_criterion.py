"""Losses of stage 1: classes and masks of matched queries, depth, plane occupancy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from mmp3d.geometry.sampling import (
    PointSource,
    pick_uncertain_points,
    sample_maps,
    uniform_points,
)
from mmp3d.models.losses import (
    depth_l1,
    mask_bce,
    mask_dice,
    resize_depth,
    weighted_mean,
)
from mmp3d.models.matchers import Matching
from mmp3d.registry import MODELS, TASK_UTILS
from mmp3d.structures import PanopticReconstructionSample, QueryPredictions
from mmp3d.utils import check_choice, check_positive
from projects.NvPanoptix3D.nvpanoptix3d.structures import ViewPredictions


@dataclass(frozen=True)
class _Targets:
    """Target masks of a batch; ``masks`` are padded to the size of the batch."""

    labels: list[Int[Tensor, ' _']]
    masks: list[Float[Tensor, '_ H W']]
    image_weights: Float[Tensor, ' B']


class _ImagePoints:
    """Random points of every image, from its own seed where its sample has one.

    Then they depend neither on the other images of the batch nor on the number of
    processes.
    """

    def __init__(
        self,
        draw_points: PointSource | None,
        data_samples: Sequence[PanopticReconstructionSample],
        device: torch.device,
    ) -> None:
        self.draw_points = draw_points or uniform_points
        self.device = device
        seeds = [sample.get('seed') for sample in data_samples]
        self.generators = None
        if draw_points is None and None not in seeds:
            self.generators = [
                torch.Generator(device).manual_seed(seed) for seed in seeds
            ]

    def of_image(self, image: int, num_points: int) -> Float[Tensor, '1 P 2']:
        """Draw one set of points."""
        if self.generators is None:
            return self.draw_points(1, num_points, self.device)
        return uniform_points(1, num_points, self.device, self.generators[image])

    def of_masks(
        self, counts: Sequence[int], num_points: int
    ) -> Float[Tensor, 'M P 2']:
        """Draw a set for each mask; ``counts`` are the masks of each image."""
        if self.generators is None:
            return self.draw_points(sum(counts), num_points, self.device)
        sets = [
            uniform_points(count, num_points, self.device, generator)
            for count, generator in zip(counts, self.generators, strict=True)
        ]
        return torch.cat(sets)


@MODELS.register_module()
class PanopticDepthCriterion(nn.Module):
    """All losses of stage 1.

    Every image counts with the ``loss_weight`` of its sample. Means are taken over the
    images of all processes.

    Args:
        class_weight: Weight of ``loss_cls``.
        mask_weight: Weight of ``loss_mask``.
        dice_weight: Weight of ``loss_dice``.
        depth_weight: Weight of ``loss_depth`` (metres).
        plane_occupancy_weight: Weight of ``loss_plane_occupancy``, a sum over planes.
        no_object_weight: How much an unmatched query counts in ``loss_cls``.
        num_points: Points per mask, in the matching and in the mask losses.
        oversample_ratio: Candidates per point of the mask losses.
        importance_sample_ratio: Share of the points that are the most uncertain
            candidates; the rest is uniform.
        use_point_sampling: Read masks at random points; otherwise everywhere, at the
            resolution of the predictions.
        depth_needs_instances: An image without any instance gets no depth supervision,
            as in the published training.
        depth_target: How the depth target is resized, see ``resize_depth``;
            'bilinear' is the published training's.
        matcher: Config of the matcher; ``None``: ``MaskMatcher`` with the weights
            above.

    Source: Cheng et al., Masked-attention Mask Transformer, section 3.3 (classes and
        masks).
    Differs: the class loss of an image is a mean over its queries, not over their class
        weights; mask losses are means over the matched masks of all processes.
    """

    def __init__(
        self,
        class_weight: float = 2.0,
        mask_weight: float = 5.0,
        dice_weight: float = 5.0,
        depth_weight: float = 5.0,
        plane_occupancy_weight: float = 5.0,
        no_object_weight: float = 0.1,
        num_points: int = 12544,
        oversample_ratio: float = 3.0,
        importance_sample_ratio: float = 0.75,
        use_point_sampling: bool = True,
        depth_needs_instances: bool = False,
        depth_target: str = 'valid',
        matcher: dict | None = None,
    ) -> None:
        super().__init__()
        check_choice('depth_target', depth_target, ('valid', 'bilinear'))
        check_positive('num_points', num_points)
        if oversample_ratio < 1 or not 0 <= importance_sample_ratio <= 1:
            raise ValueError(
                'expected oversample_ratio >= 1 and importance_sample_ratio in 0..1, '
                f'got {oversample_ratio} and {importance_sample_ratio}'
            )
        self.class_weight = class_weight
        self.mask_weight = mask_weight
        self.dice_weight = dice_weight
        self.depth_weight = depth_weight
        self.plane_occupancy_weight = plane_occupancy_weight
        self.no_object_weight = no_object_weight
        self.num_points = num_points
        self.num_candidates = int(num_points * oversample_ratio)
        self.num_uncertain = int(num_points * importance_sample_ratio)
        self.use_point_sampling = use_point_sampling
        self.depth_needs_instances = depth_needs_instances
        self.depth_target = depth_target
        self.matcher = TASK_UTILS.build(
            matcher
            or {
                'type': 'MaskMatcher',
                'class_weight': class_weight,
                'mask_weight': mask_weight,
                'dice_weight': dice_weight,
            }
        )

    def forward(
        self,
        views: ViewPredictions,
        data_samples: Sequence[PanopticReconstructionSample],
        padded_size: tuple[int, int],
        room_mask: Bool[Tensor, 'B _ _'] | None = None,
        draw_points: PointSource | None = None,
    ) -> dict[str, Tensor]:
        """Give the weighted terms.

        Args:
            views: Predictions of stage 1.
            data_samples: Need ``gt_instances`` and ``gt_depth_map``, and the plane
                targets where the model predicts plane occupancy.
            padded_size: (height, width) of the batch's images, padding included.
            room_mask: Pixels that may supervise depth, at any resolution of the padded
                images; ``None``: all (the published training).
            draw_points: Source of the random points; ``None``: uniform points, of each
                image by the ``seed`` of its sample, otherwise by torch's global one.

        Returns:
            ``loss_cls``, ``loss_mask``, ``loss_dice``, the same with the prefix
            ``d{i}.`` for every auxiliary prediction, ``loss_depth`` and, with plane
            occupancy, ``loss_plane_occupancy``.
        """
        targets = self._targets(data_samples, padded_size, views.depth.device)
        points = _ImagePoints(draw_points, data_samples, views.depth.device)
        losses = self._query_losses(views.final, targets, points)
        for i, predictions in enumerate(views.auxiliary):
            terms = self._query_losses(predictions, targets, points)
            losses.update({f'd{i}.{name}': term for name, term in terms.items()})
        losses['loss_depth'] = self.depth_weight * weighted_mean(
            self._depth_errors(
                views.depth.float(), data_samples, padded_size, room_mask
            ),
            targets.image_weights,
        )
        if views.plane_logits is not None:
            losses['loss_plane_occupancy'] = self.plane_occupancy_weight * (
                weighted_mean(
                    _plane_errors(views.plane_logits.float(), data_samples),
                    targets.image_weights,
                )
            )
        return losses

    @torch.no_grad()
    def match(
        self,
        views: ViewPredictions,
        data_samples: Sequence[PanopticReconstructionSample],
        padded_size: tuple[int, int],
        draw_points: PointSource | None = None,
    ) -> list[Matching]:
        """Match the final predictions of every image; arguments as in ``forward``."""
        targets = self._targets(data_samples, padded_size, views.depth.device)
        points = _ImagePoints(draw_points, data_samples, views.depth.device)
        return self._match(views.final, targets, points)

    def _targets(
        self,
        data_samples: Sequence[PanopticReconstructionSample],
        padded_size: tuple[int, int],
        device: torch.device,
    ) -> _Targets:
        instances = [sample.gt_instances for sample in data_samples]
        weights = [sample.get('loss_weight', 1.0) for sample in data_samples]
        return _Targets(
            labels=[i.labels.to(device) for i in instances],
            masks=[_pad(i.masks.to(device).float(), padded_size) for i in instances],
            image_weights=torch.tensor(weights, dtype=torch.float32, device=device),
        )

    def _match(
        self,
        predictions: QueryPredictions,
        targets: _Targets,
        points: _ImagePoints,
    ) -> list[Matching]:
        matchings = []
        # One image after the other: the cost of a pair exists only within an image.
        for image, (class_logits, mask_logits, labels, masks) in enumerate(
            zip(
                predictions.class_logits,
                predictions.mask_logits,
                targets.labels,
                targets.masks,
                strict=True,
            )
        ):
            if self.use_point_sampling:
                places = points.of_image(image, self.num_points)
                queries = sample_maps(mask_logits[None].float(), places)[0]
                wanted = sample_maps(masks[None], places)[0]
            else:
                queries = mask_logits.flatten(1)
                wanted = _resize_masks(masks, mask_logits.shape[-2:]).flatten(1)
            matchings.append(self.matcher(class_logits, queries, labels, wanted))
        return matchings

    def _query_losses(
        self,
        predictions: QueryPredictions,
        targets: _Targets,
        points: _ImagePoints,
    ) -> dict[str, Tensor]:
        matchings = self._match(predictions, targets, points)
        image, query = _pair_indices(matchings, predictions.class_logits.device)
        labels = _matched(targets.labels, matchings)
        class_errors = self._class_errors(
            predictions.class_logits, image, query, labels
        )
        num_queries = predictions.mask_logits.shape[1]
        logits = predictions.mask_logits.flatten(0, 1)[image * num_queries + query]
        logits, wanted = self._read_masks(
            logits.float(),
            _matched(targets.masks, matchings),
            [len(m.query_indices) for m in matchings],
            points,
        )
        mask_weights = targets.image_weights[image]
        return {
            'loss_cls': self.class_weight
            * weighted_mean(class_errors, targets.image_weights),
            'loss_mask': self.mask_weight
            * weighted_mean(mask_bce(logits, wanted), mask_weights),
            'loss_dice': self.dice_weight
            * weighted_mean(mask_dice(logits, wanted), mask_weights),
        }

    def _class_errors(
        self,
        class_logits: Float[Tensor, 'B Q L'],
        image: Int[Tensor, ' M'],
        query: Int[Tensor, ' M'],
        labels: Int[Tensor, ' M'],
    ) -> Float[Tensor, ' B']:
        no_object = class_logits.shape[-1] - 1
        wanted = torch.full(
            class_logits.shape[:2], no_object, device=class_logits.device
        )
        wanted[image, query] = labels
        label_weights = class_logits.new_ones(no_object + 1, dtype=torch.float32)
        label_weights[no_object] = self.no_object_weight
        errors = F.cross_entropy(
            class_logits.float().flatten(0, 1),
            wanted.flatten(),
            label_weights,
            reduction='none',
        )
        return errors.view(wanted.shape).mean(dim=1)

    def _read_masks(
        self,
        logits: Float[Tensor, 'M h w'],
        masks: Float[Tensor, 'M H W'],
        counts: Sequence[int],
        points: _ImagePoints,
    ) -> tuple[Float[Tensor, 'M P'], Float[Tensor, 'M P']]:
        if not self.use_point_sampling:
            wanted = _resize_masks(masks, logits.shape[-2:])
            return logits.flatten(1), wanted.flatten(1)
        places = self._loss_points(logits.detach(), counts, points)
        with torch.no_grad():
            wanted = sample_maps(masks[:, None], places)[:, 0]
        return sample_maps(logits[:, None], places)[:, 0], wanted

    def _loss_points(
        self,
        logits: Float[Tensor, 'M h w'],
        counts: Sequence[int],
        points: _ImagePoints,
    ) -> Float[Tensor, 'M P 2']:
        if len(logits) == 0:
            return logits.new_zeros(0, self.num_points, 2)
        candidates = points.of_masks(counts, self.num_candidates)
        uncertain = pick_uncertain_points(logits, candidates, self.num_uncertain)
        num_uniform = self.num_points - self.num_uncertain
        if num_uniform == 0:
            return uncertain
        uniform = points.of_masks(counts, num_uniform)
        return torch.cat((uncertain, uniform), dim=1)

    def _depth_errors(
        self,
        depth: Float[Tensor, 'B Hd Wd'],
        data_samples: Sequence[PanopticReconstructionSample],
        padded_size: tuple[int, int],
        room_mask: Bool[Tensor, 'B _ _'] | None,
    ) -> Float[Tensor, ' B']:
        target = torch.stack(
            [
                _pad(sample.gt_depth_map.depth[0].to(depth.device), padded_size)
                for sample in data_samples
            ]
        )
        if self.depth_needs_instances:
            seen = [len(sample.gt_instances.labels) > 0 for sample in data_samples]
            target = target * target.new_tensor(seen)[:, None, None]
        size = tuple(depth.shape[-2:])
        target = resize_depth(target.to(depth.dtype), size, self.depth_target)
        valid = target > 0
        if room_mask is not None:
            room = F.interpolate(room_mask[:, None].float(), size, mode='nearest-exact')
            valid = valid & (room[:, 0] > 0)
        return depth_l1(depth, target, valid)


def _plane_errors(
    plane_logits: Float[Tensor, 'B P h w'],
    data_samples: Sequence[PanopticReconstructionSample],
) -> Float[Tensor, ' B']:
    """Cross-entropy of each image: summed over planes, averaged over known pixels."""
    device = plane_logits.device
    wanted = torch.stack(
        [s.gt_plane_occupancy.occupancy.to(device) for s in data_samples]
    )
    depth = torch.stack([s.gt_plane_depth.depth[0].to(device) for s in data_samples])
    if wanted.shape != plane_logits.shape:
        raise ValueError(
            f'expected plane occupancy targets {tuple(plane_logits.shape[1:])} as '
            f'predicted, got {tuple(wanted.shape[1:])}; give the number of planes and '
            'the plane size once, to the transform and to the head'
        )
    known = (depth != 0).to(plane_logits.dtype)
    errors = F.binary_cross_entropy_with_logits(
        plane_logits, wanted.to(plane_logits.dtype), reduction='none'
    ).sum(dim=1)
    return (errors * known).sum(dim=(1, 2)) / known.sum(dim=(1, 2)).clamp(min=1)


def _pad(
    maps: Float[Tensor, '*lead H W'], size: tuple[int, int]
) -> Float[Tensor, '*lead Hp Wp']:
    """Add zeros at the right and at the bottom."""
    missing_rows = size[0] - maps.shape[-2]
    missing_columns = size[1] - maps.shape[-1]
    if min(missing_rows, missing_columns) < 0:
        raise ValueError(
            f'expected targets of at most {tuple(size)} pixels, the padded size of the '
            f'batch, got {tuple(maps.shape[-2:])}; targets must have the size of their '
            'image before padding'
        )
    return F.pad(maps, (0, missing_columns, 0, missing_rows))


def _resize_masks(
    masks: Float[Tensor, 'N H W'], size: torch.Size
) -> Float[Tensor, 'N h w']:
    if len(masks) == 0:
        return masks.new_zeros(0, *size)
    return F.interpolate(masks[:, None], size, mode='nearest-exact')[:, 0]


def _pair_indices(
    matchings: Sequence[Matching], device: torch.device
) -> tuple[Int[Tensor, ' M'], Int[Tensor, ' M']]:
    """Image and query of every pair of the batch."""
    counts = torch.tensor([len(m.query_indices) for m in matchings], device=device)
    images = torch.arange(len(matchings), device=device).repeat_interleave(counts)
    return images, torch.cat([m.query_indices for m in matchings])


def _matched(targets: Sequence[Tensor], matchings: Sequence[Matching]) -> Tensor:
    """What the matched queries should have been, in the order of the pairs."""
    return torch.cat(
        [t[m.target_indices] for t, m in zip(targets, matchings, strict=True)]
    )
