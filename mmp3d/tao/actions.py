"""What ``python -m mmp3d.tao`` does with a converted spec."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.runner import Runner
from mmengine.utils import import_modules_from_strings

from mmp3d.apis import PanopticReconstructionInferencer, write_results
from mmp3d.fileio import CorruptFileError
from mmp3d.geometry import UnknownCameraError
from mmp3d.tao.checkpoints import check_converted
from mmp3d.tao.convert import Conversion
from mmp3d.tao.outputs import write_tao_outputs
from mmp3d.tao.run_keys import num_processes
from mmp3d.tao.spec import SpecError

_SUFFIXES = ('.png', '.jpg', '.jpeg')


def results_folder(conversion: Conversion) -> Path:
    """Where an action writes."""
    default = f'results/{conversion.draft.action}'
    return Path(conversion.config.get('work_dir') or default)


@dataclass(frozen=True)
class Launch:
    """A process to start.

    Attributes:
        command: Program and arguments.
        environment: Additions to the environment.
    """

    command: list[str]
    environment: dict[str, str]


def launches(conversion: Conversion, arguments: Sequence[str]) -> list[Launch]:
    """Say how to start an action in several processes.

    Training and evaluation get one launcher of processes that talk to each other.
    Inference gets processes that do not: one that meets a broken image stops no other.
    The place of this machine among several comes from NODE_RANK, MASTER_ADDR and
    MASTER_PORT.

    Args:
        conversion: Says how many processes and machines.
        arguments: Command line behind ``python -m mmp3d.tao``.

    Returns:
        Nothing where this process does.
    """
    draft, action = conversion.draft, conversion.draft.action
    processes, nodes = num_processes(draft, action), draft[f'{action}.num_nodes']
    environment = {}
    if draft.is_given(f'{action}.gpu_ids'):
        ids = list(draft[f'{action}.gpu_ids'])
        ids += [i for i in range(processes + len(ids)) if i not in ids]
        shown = ','.join(map(str, ids[:processes]))
        environment['CUDA_VISIBLE_DEVICES'] = shown
    if processes * nodes == 1:
        os.environ.update(environment)
        return []
    worker = ['-m', 'mmp3d.tao', *arguments]
    node = os.environ.get('NODE_RANK', '0')
    if action == 'inference':
        return [
            Launch(
                [sys.executable, *worker],
                {
                    'OMP_NUM_THREADS': os.environ.get('OMP_NUM_THREADS', '1'),
                    **environment,
                    'LOCAL_RANK': str(i),
                    'RANK': str(int(node) * processes + i),
                    'WORLD_SIZE': str(processes * nodes),
                },
            )
            for i in range(processes)
        ]
    command = [
        sys.executable,
        '-m',
        'torch.distributed.run',
        f'--nproc_per_node={processes}',
        f'--nnodes={nodes}',
        f'--node_rank={node}',
        f'--master_addr={os.environ.get("MASTER_ADDR", "127.0.0.1")}',
        f'--master_port={os.environ.get("MASTER_PORT", "29500")}',
        *worker,
    ]
    return [Launch(command, environment)]


def train(conversion: Conversion) -> None:
    """Train; goes on with the latest checkpoint of the results folder if there is one.

    Raises:
        SpecError: If a checkpoint has to be converted first.
    """
    config, folder = conversion.config, results_folder(conversion)
    config.work_dir = str(folder)
    if not config.get('resume') and (folder / 'last_checkpoint').is_file():
        print(f'{folder} holds a run; going on with its latest checkpoint')
        config.resume, config.load_from = True, None
    if config.get('load_from'):
        check_converted('checkpoint to start from', config.load_from)
    _runner(conversion).train()


def evaluate(conversion: Conversion) -> dict[str, float]:
    """Test a checkpoint; gives the metrics.

    Raises:
        SpecError: If there is no checkpoint, or it has to be converted first.
    """
    conversion.config.work_dir = str(results_folder(conversion))
    path = _checkpoint(conversion)
    conversion.config.load_from = path
    return _runner(conversion).test()


def inference(
    conversion: Conversion, camera: str = 'auto', fit: str = 'stretch'
) -> int:
    """Reconstruct the images of a folder; several processes share them.

    Args:
        conversion: Says which images, and which checkpoint.
        camera: As of ``PanopticReconstructionInferencer``.
        fit: Likewise; TAO stretches all images.

    Returns:
        The number of images that could not be used.

    Raises:
        SpecError: If checkpoint or images are missing, or the first one has to be
            converted.
    """
    draft = conversion.draft
    images = find_images(draft['inference.images_dir'])
    mine = share(images)
    infer = PanopticReconstructionInferencer(
        conversion.config, _checkpoint(conversion), _device(), camera, fit
    )
    folder = results_folder(conversion)
    failures = 0
    for path in mine:
        try:
            packed = infer.preprocess(path)
            (sample,) = infer.forward([packed])
        except (CorruptFileError, UnknownCameraError) as error:
            failures += 1
            print(f'skipped: {error}')
            continue
        out = folder / _folder_name(path, images)
        image = packed['inputs']['img'].permute(1, 2, 0).numpy()
        write_results(sample, image, out)
        write_tao_outputs(sample, out)
    print(f'{len(mine) - failures} of {len(mine)} images -> {folder}')
    return failures


def find_images(folder: str) -> list[Path]:
    """Give the png and jpg files of a folder.

    Raises:
        SpecError: If there is none.
    """
    place = Path(folder or '-')
    found = []
    if place.is_dir():
        found = sorted(p for p in place.iterdir() if p.suffix.lower() in _SUFFIXES)
    if not found:
        raise SpecError(
            f'inference.images_dir must be a folder with png or jpg files, got '
            f'{folder!r}'
        )
    return found


def share(images: Sequence[Path]) -> Sequence[Path]:
    """Give the images of this process: every n-th where it is one of n."""
    # Orchestrators of machines set WORLD_SIZE, too; only our launcher both.
    if 'LOCAL_RANK' not in os.environ or 'RANK' not in os.environ:
        return images
    return images[int(os.environ['RANK']) :: int(os.environ['WORLD_SIZE'])]


def _folder_name(path: Path, images: Sequence[Path]) -> str:
    repeated = sum(other.stem == path.stem for other in images) > 1
    return path.name if repeated else path.stem


def _checkpoint(conversion: Conversion) -> str:
    key = f'{conversion.draft.action}.checkpoint'
    path = conversion.draft[key]
    if not path:
        raise SpecError(f'set {key}=PATH')
    check_converted(key, path)
    return path


def _device() -> str | None:
    if 'LOCAL_RANK' in os.environ and torch.cuda.is_available():
        return f'cuda:{os.environ["LOCAL_RANK"]}'
    return None


def _runner(conversion: Conversion) -> Runner:
    import_modules_from_strings(**conversion.config.custom_imports)
    if 'LOCAL_RANK' in os.environ:
        conversion.config.launcher = 'pytorch'
    return Runner.from_cfg(conversion.config)
