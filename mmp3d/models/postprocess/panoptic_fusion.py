"""Turn queries into segments: one algorithm for the pixels and for the voxels.

Every cell belongs to the kept query with the largest score x mask probability; a query
whose cells are sure enough becomes a segment.

Source: Cheng et al., Per-Pixel Classification is Not All You Need, section 3.4.
Differs: cells that nobody claims may be given away, see ``FusionRules`` and
    ``claimed``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mmp3d.structures import LabelSpace, PanopticSegmentation, Segment

# A cell is inside a mask from this probability on.
_INSIDE = 0.5


@dataclass(frozen=True)
class FusionRules:
    """Which queries become segments.

    Attributes:
        score_threshold: A query is kept if its class probability is larger.
        overlap_threshold: Smallest share of a query's own mask that it must win; 0
            accepts any share.
        ignored_labels: Queries of these labels are dropped, like 'no object'.
        fill_with_stuff: Cells that stay unassigned are given to the best accepted stuff
            query.
    """

    score_threshold: float
    overlap_threshold: float = 0.0
    ignored_labels: tuple[int, ...] = ()
    fill_with_stuff: bool = False


@dataclass(frozen=True)
class FactoredMasks:
    """Mask logits as products of cell features and query embeddings.

    They are multiplied out for some cells at a time, so that no tensor of queries x
    cells has to exist.

    Attributes:
        features: One row per cell.
        queries: One row per query.
        cells_per_chunk: How many cells are looked at together.
    """

    features: Float[Tensor, 'N C']
    queries: Float[Tensor, 'Q C']
    cells_per_chunk: int = 32768

    def chunks(self, indices: Int[Tensor, ' K']) -> Iterator[Float[Tensor, 'K n']]:
        """Give the mask logits of some queries, chunk by chunk of cells."""
        queries = self.queries[indices]
        for rows in self.features.split(self.cells_per_chunk):
            yield queries @ rows.T


@dataclass(frozen=True)
class _DenseMasks:
    logits: Float[Tensor, 'Q N']

    def chunks(self, indices: Int[Tensor, ' K']) -> Iterator[Float[Tensor, 'K N']]:
        yield self.logits[indices]


@dataclass(frozen=True)
class _KeptQueries:
    indices: Int[Tensor, ' K']
    labels: Int[Tensor, ' K']
    scores: Float[Tensor, ' K']
    is_thing: Bool[Tensor, ' K']

    def __getitem__(self, chosen: Int[Tensor, ' M']) -> _KeptQueries:
        return _KeptQueries(
            self.indices[chosen],
            self.labels[chosen],
            self.scores[chosen],
            self.is_thing[chosen],
        )


@dataclass(frozen=True)
class _Votes:
    """For every cell its best query (an index among the kept) and that one's mask."""

    winner: Int[Tensor, ' N']
    prob: Float[Tensor, ' N']
    own_areas: Int[Tensor, ' K']


@torch.no_grad()
def fuse_queries(
    class_logits: Float[Tensor, 'Q L'],
    masks: Float[Tensor, 'Q ...'] | FactoredMasks,
    label_space: LabelSpace,
    rules: FusionRules,
    claimed: Bool[Tensor, '*domain'] | None = None,
) -> PanopticSegmentation:
    """Merge the queries of one image or volume into a panoptic segmentation.

    Args:
        class_logits: Before the softmax, 'no object' last.
        masks: Mask logits over pixels (``H W``), or over the rows of sparse voxels
            (``N``) as factors.
        label_space: Says which labels are things. Every query of a thing class becomes
            a segment of its own; queries of one other class share a segment.
        rules: Thresholds and what happens to unclaimed cells.
        claimed: Cells that belong to their best query even where its mask is unsure, if
            that query became a segment; for example voxels at a surface.

    Returns:
        Ids int32 from 1 in the order of the queries; ``class_probs`` holds score x mask
        probability of the query that a cell was given to.

    Raises:
        ValueError: If the logits do not fit the label space.
    """
    if class_logits.shape[-1] != label_space.num_classes + 1:
        raise ValueError(
            f'label space {label_space.name!r} has {label_space.num_classes} classes, '
            f'so {label_space.num_classes + 1} class logits are expected, got '
            f'{class_logits.shape[-1]}; set num_classes of the head accordingly'
        )
    if isinstance(masks, FactoredMasks):
        domain, source = (len(masks.features),), masks
    else:
        domain, source = tuple(masks.shape[1:]), _DenseMasks(masks.flatten(1))
    kept = _keep(class_logits.float(), label_space, rules)
    if len(kept.indices) == 0 or torch.Size(domain).numel() == 0:
        return _nothing(domain, label_space, class_logits.device)

    votes = _vote(source, kept)
    segments, id_of = _accept(votes, kept, rules.overlap_threshold)
    belongs = votes.prob >= _INSIDE
    if claimed is not None:
        belongs |= claimed.reshape(-1)
    owner = torch.where(belongs & (id_of[votes.winner] > 0), votes.winner, -1)
    prob = votes.prob
    stuff = ((id_of > 0) & ~kept.is_thing).nonzero()[:, 0]
    if rules.fill_with_stuff and len(stuff):
        second = _vote(source, kept[stuff])
        prob = torch.where(owner < 0, second.prob, prob)
        owner = torch.where(owner < 0, stuff[second.winner], owner)
    ids = torch.where(owner < 0, 0, id_of[owner.clamp(min=0)])
    class_probs = _class_probs(owner, prob, kept, label_space.num_classes)
    return PanopticSegmentation(
        ids.view(domain), segments, class_probs.view(-1, *domain)
    )


def _keep(
    class_logits: Float[Tensor, 'Q L'], label_space: LabelSpace, rules: FusionRules
) -> _KeptQueries:
    scores, labels = class_logits.softmax(dim=-1).max(dim=-1)
    is_kept = scores > rules.score_threshold
    for label in (label_space.no_object, *rules.ignored_labels):
        is_kept &= labels != label
    things = labels.new_tensor(label_space.thing_labels)
    every = _KeptQueries(
        torch.arange(len(labels), device=labels.device),
        labels,
        scores,
        torch.isin(labels, things),
    )
    return every[is_kept.nonzero()[:, 0]]


def _vote(source: FactoredMasks | _DenseMasks, kept: _KeptQueries) -> _Votes:
    winners, probs, areas = [], [], 0
    for logits in source.chunks(kept.indices):
        mask_probs = logits.float().sigmoid()
        winner = (mask_probs * kept.scores[:, None]).argmax(dim=0)
        winners.append(winner)
        probs.append(mask_probs.gather(0, winner[None])[0])
        areas = areas + (mask_probs >= _INSIDE).sum(dim=1)
    return _Votes(torch.cat(winners), torch.cat(probs), areas)


def _accept(
    votes: _Votes, kept: _KeptQueries, overlap_threshold: float
) -> tuple[tuple[Segment, ...], Int[Tensor, ' K']]:
    """Give the segments, and for every kept query its segment's id, 0 if refused."""
    num_kept = len(kept.indices)
    won = votes.winner.bincount(minlength=num_kept)
    is_sure = votes.prob >= _INSIDE
    surely_won = votes.winner[is_sure].bincount(minlength=num_kept)
    # In double precision: a share that equals the threshold is accepted.
    share = won.double() / votes.own_areas.clamp(min=1)
    accepted = (surely_won > 0) & (share >= overlap_threshold)
    rows = zip(
        accepted.tolist(),
        kept.indices.tolist(),
        kept.labels.tolist(),
        kept.scores.tolist(),
        kept.is_thing.tolist(),
        strict=True,
    )
    segments, ids, shared_ids = [], [], {}
    for is_accepted, query, label, score, is_thing in rows:
        if not is_accepted:
            ids.append(0)
        elif label in shared_ids:
            ids.append(shared_ids[label])
        else:
            segment = Segment(len(segments) + 1, label, is_thing, score, query)
            segments.append(segment)
            ids.append(segment.id)
            if not is_thing:
                shared_ids[label] = segment.id
    id_of = torch.tensor(ids, dtype=torch.int32, device=votes.winner.device)
    return tuple(segments), id_of


def _class_probs(
    owner: Int[Tensor, ' N'],
    prob: Float[Tensor, ' N'],
    kept: _KeptQueries,
    num_classes: int,
) -> Float[Tensor, 'C N']:
    given = owner.clamp(min=0)
    values = torch.where(owner < 0, 0.0, kept.scores[given] * prob)
    class_probs = values.new_zeros(num_classes, len(owner))
    return class_probs.scatter_(0, kept.labels[given][None], values[None])


def _nothing(
    domain: tuple[int, ...], label_space: LabelSpace, device: torch.device
) -> PanopticSegmentation:
    return PanopticSegmentation(
        torch.zeros(domain, dtype=torch.int32, device=device),
        (),
        torch.zeros(label_space.num_classes, *domain, device=device),
    )
