"""A panoptic segmentation of an image or of a volume."""

from __future__ import annotations

from dataclasses import dataclass, replace

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Segment:
    """One segment.

    Attributes:
        id: Value in the id map, from 1.
        label: Index into ``LabelSpace.classes``.
        is_thing: Whether it is one instance of a countable class.
        score: Class probability of the query that made it.
        query: Index of that query; -1 for ground truth.
    """

    id: int
    label: int
    is_thing: bool
    score: float = 1.0
    query: int = -1


@dataclass(frozen=True)
class PanopticSegmentation:
    """An id per cell, and what the ids mean.

    Attributes:
        ids: 0 = unassigned.
        segments: In the order in which they were accepted; the metrics match in this
            order.
        class_probs: Probability of the class a cell was given, in that class's channel,
            0 elsewhere; ``None`` where nobody needs it.
    """

    ids: Int[Tensor, '*domain']
    segments: tuple[Segment, ...]
    class_probs: Float[Tensor, 'C *domain'] | None = None

    def semantic(self) -> Int[Tensor, '*domain']:
        """The label of every cell; 0 = void."""
        table = self.ids.new_zeros(max((s.id for s in self.segments), default=0) + 1)
        for segment in self.segments:
            table[segment.id] = segment.label
        return table[self.ids.long()]

    def cpu(self) -> PanopticSegmentation:
        """The same segmentation in main memory."""
        probs = None if self.class_probs is None else self.class_probs.cpu()
        return replace(self, ids=self.ids.cpu(), class_probs=probs)
