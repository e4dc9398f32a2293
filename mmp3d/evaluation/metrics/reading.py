"""Read the fields of a sample's dict, and print tables of scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Shaped

from mmp3d.structures import LabelSpace


def read_field(sample: Mapping, element: str, field: str) -> Shaped[np.ndarray, '...']:
    """Give one array of a sample, on the CPU.

    Args:
        sample: ``PanopticReconstructionSample.to_dict()``.
        element: Name of the data element, such as 'gt_volume'.
        field: Name of the array in it, such as 'tudf'.

    Raises:
        KeyError: If the sample does not have it.
    """
    if element not in sample or field not in sample[element]:
        raise KeyError(
            f'sample {sample.get("sample_id")!r} has no {element}.{field}, which this '
            f'metric reads; it has {sorted(sample)}. Predictions of volumes need a '
            'stage-2 model, true ones the loading and packing of the 3D pipeline.'
        )
    value = sample[element][field]
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value


def read_label_space(sample: Mapping, before: LabelSpace | None) -> LabelSpace:
    """Give the label space of a sample, and see that all samples share one.

    Raises:
        KeyError: If the sample names none.
        ValueError: If it differs from the one before.
    """
    if 'label_space' not in sample:
        raise KeyError(
            f'sample {sample.get("sample_id")!r} has no label_space in its meta '
            'information; the dataset sets it and the packing transform keeps it'
        )
    space = sample['label_space']
    if before is not None and space.classes != before.classes:
        raise ValueError(
            f'sample {sample.get("sample_id")!r} has the label space {space.name!r}, '
            f'earlier ones {before.name!r}; evaluate each dataset with its own metric'
        )
    return space


def score_table(header: Sequence[str], rows: Sequence[Sequence[str | float]]) -> str:
    """Lay out names and numbers in aligned columns, two digits after the point."""
    cells = [list(header)] + [
        [cell if isinstance(cell, str) else f'{cell:.2f}' for cell in row]
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        '  '.join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    ]
    lines.insert(1, '-' * len(lines[0]))
    return '\n'.join(lines)
