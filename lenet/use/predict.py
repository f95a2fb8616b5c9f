"""Predict: a run's model answers for images and pictures."""

import os
from collections.abc import Iterable, Iterator
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lenet import api
from lenet.architecture import CLASSES, IMAGE_SIZE
from lenet.errors import UserError
from lenet.storage.run import AnyPath, Run
from lenet.system.files import writing
from lenet.trainer import LOGITS_BATCH
from lenet.use import picture
from lenet.use.forward import probabilities
from lenet.use.prediction import Prediction
from lenet.use.preparation import is_handwriting, prepare

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif")  # of the files that a folder is read for


class Model:
    """A run's network in a framework, as it was at its last save."""

    def __init__(
        self, run: Run, framework: str | None = None, device: str = "auto", threads: int | None = None
    ) -> None:
        checkpoint = run.checkpoint
        self.backend = api.backend(checkpoint.settings, framework, device, threads)
        self.backend.write_state(checkpoint.state)
        self.prepare = prepare if is_handwriting(checkpoint.settings.data) else picture.fit

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 [n, 28, 28] -> probabilities float64 [n, classes]."""
        pieces = [images[i : i + LOGITS_BATCH, ..., np.newaxis] for i in range(0, len(images), LOGITS_BATCH)]
        return np.concatenate([np.empty((0, CLASSES)), *(probabilities(self.backend.logits(x)) for x in pieces)])


def predict(run: Run, images: np.ndarray | AnyPath | Iterable[AnyPath], **machine: Any) -> np.ndarray:
    """See Run.predict."""
    model = Model(run, **machine)
    if isinstance(images, list) and images and all(isinstance(image, np.ndarray) for image in images):
        images = np.array(images)
    if isinstance(images, np.ndarray):
        if images.dtype != np.uint8 or images.shape[1:] != (IMAGE_SIZE, IMAGE_SIZE):
            wanted = f"uint8 [n, {IMAGE_SIZE}, {IMAGE_SIZE}]"
            raise UserError(f"images: must be {wanted}, from 0 to 255, not {images.dtype} {list(images.shape)}")
        return model.probabilities(images)
    prepared = []
    for path in _paths(images):
        if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises PermissionError
            raise UserError(f"{path} is a folder; name its pictures, or use predict_each")
        if isinstance(image := _prepared(model, path), UserError):
            raise UserError(f"{path}: {image}")
        prepared.append(image)
    return model.probabilities(_stack(prepared))


def predict_each(
    run: Run, paths: AnyPath | Iterable[AnyPath], save_prepared: AnyPath | None = None, **machine: Any
) -> Iterator[Prediction]:
    """See Run.predict_each."""
    model = Model(run, **machine)
    found = pictures(_paths(paths))
    saved = None if save_prepared is None else _empty_folder(Path(save_prepared))
    while some := list(islice(found, LOGITS_BATCH)):
        images = [_prepared(model, path) for path, _ in some]
        answers = iter(model.probabilities(_stack(image for image in images if not isinstance(image, UserError))))
        for (path, label), image in zip(some, images, strict=True):
            if isinstance(image, UserError):
                yield Prediction(path, label, error=str(image))
            else:
                if saved:
                    save(image, saved, path)
                yield Prediction(path, label, next(answers))


def _paths(paths: AnyPath | Iterable[AnyPath]) -> list[Path]:
    try:
        return [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    except TypeError as error:
        raise UserError(
            f"images: must be an array of uint8 [n, {IMAGE_SIZE}, {IMAGE_SIZE}] or paths: {error}"
        ) from None


def _prepared(model: Model, path: Path) -> np.ndarray | UserError:
    try:
        return model.prepare(picture.read(path))
    except UserError as error:
        return error
    except MemoryError:
        return UserError("not enough memory for it")


def _stack(images: Iterable[np.ndarray]) -> np.ndarray:
    return np.array(list(images), np.uint8).reshape(-1, IMAGE_SIZE, IMAGE_SIZE)


def pictures(paths: Iterable[Path]) -> Iterator[tuple[Path, int | None]]:
    """Yield the paths, in place of a folder its pictures: each with the class that its subfolder is named after.

    The class is None unless all of a folder's pictures are in subfolders that are named like classes.
    """
    for path in paths:
        if not os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises PermissionError
            yield path, None
            continue
        errors: list[OSError] = []
        walk = os.walk(path, onerror=errors.append)
        files = sorted(Path(folder, name) for folder, _, names in walk for name in names)
        files = [file for file in files if file.suffix.lower() in ENDINGS]
        names = [file.relative_to(path).parts[0] for file in files]
        labelled = {*names} <= {*map(str, range(CLASSES))}
        yield from ((file, int(name) if labelled else None) for file, name in zip(files, names, strict=True))
        unreadable = [Path(error.filename) for error in errors] or ([] if files else [path])
        yield from ((folder, None) for folder in unreadable)


def save(image: np.ndarray, folder: Path, path: Path) -> None:
    """Write what the network sees of a picture as PNG into a folder, under the picture's path, or one like it."""
    target = folder.joinpath(*(part for part in path.parts if part not in (path.anchor, "..")))
    numbered = (target.with_name(f"{target.stem}.{i}.png") for i in count(1))
    names = chain([target.with_name(f"{target.stem}.png")], numbered)
    with writing(target, "choose another folder"):
        target.parent.mkdir(parents=True, exist_ok=True)
        with next(name for name in names if not name.exists()).open("xb") as file:
            Image.fromarray(image).save(file, "PNG")


def _empty_folder(folder: Path) -> Path:
    with writing(folder, "choose another folder"):
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UserError(f"{folder} is not empty; choose another folder for --save_prepared")
    return folder
