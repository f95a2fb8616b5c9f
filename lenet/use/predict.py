"""Predict: a run's model answers for images and pictures."""

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lenet import api
from lenet.data import picture
from lenet.data.walk import walk
from lenet.errors import UserError
from lenet.storage.run import AnyPath, Run
from lenet.system.files import writing
from lenet.trainer import LOGITS_BATCH, pieces
from lenet.use.forward import probabilities
from lenet.use.prediction import Prediction
from lenet.use.preparation import is_handwriting, prepare


class Model:
    """A run's network in a framework, as it was at its last save."""

    def __init__(
        self, run: Run, framework: str | None = None, device: str = "auto", threads: int | None = None
    ) -> None:
        checkpoint = run.checkpoint
        self.backend = api.backend(checkpoint.settings, framework, device, threads)
        self.backend.write_state(checkpoint.state)
        self.data = checkpoint.settings.data
        self.handwriting = is_handwriting(self.data)

    def prepare(self, path: Path) -> np.ndarray | UserError:
        """Return a picture as the network takes it, uint8 [height, width, channels], or why it cannot be read."""
        height, width, channels = self.data.image_shape
        try:
            with picture.quietly():
                pixels = picture.read(path, channels)
            return prepare(pixels[..., 0])[..., np.newaxis] if self.handwriting else picture.fit(pixels, height, width)
        except UserError as error:
            return error
        except MemoryError:
            return UserError("not enough memory for it")

    def probabilities(self, images: Iterable[np.ndarray]) -> np.ndarray:
        """Images uint8 [n, height, width, channels] -> probabilities float64 [n, classes]."""
        stacked = np.array(list(images), np.uint8).reshape(-1, *self.data.image_shape)
        nothing = np.empty((0, len(self.data.classes)))
        return np.concatenate([nothing, *(probabilities(self.backend.logits(piece)) for piece in pieces(stacked))])

    def require_images(self, images: np.ndarray) -> np.ndarray:
        """Images [n, height, width] or [n, height, width, channels] -> the latter; UserError for others."""
        *size, channels = self.data.image_shape
        if images.dtype == np.uint8 and channels == 1 and images.shape[1:] == tuple(size):
            return images[..., np.newaxis]
        if images.dtype != np.uint8 or images.shape[1:] != self.data.image_shape:
            raise UserError(f"images: must be {self.wanted}, from 0 to 255, not {images.dtype} {list(images.shape)}")
        return images

    @property
    def wanted(self) -> str:
        """The dtype and shape of arrays of images."""
        *size, channels = self.data.image_shape
        return f"uint8 [n, {', '.join(map(str, size if channels == 1 else self.data.image_shape))}]"


def predict(run: Run, images: np.ndarray | AnyPath | Iterable[AnyPath], **machine: Any) -> np.ndarray:
    """See Run.predict."""
    model = Model(run, **machine)
    if isinstance(images, list) and images and all(isinstance(image, np.ndarray) for image in images):
        if len({image.shape for image in images}) > 1:
            raise UserError(f"images: must be {model.wanted}, all of one shape")
        images = np.array(images)
    if isinstance(images, np.ndarray):
        return model.probabilities(model.require_images(images))
    prepared = []
    for path in _paths(images, model):
        if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises PermissionError
            raise UserError(f"{path} is a folder; name its pictures, or use predict_each")
        if isinstance(image := model.prepare(path), UserError):
            raise UserError(f"{path}: {image}")
        prepared.append(image)
    return model.probabilities(prepared)


def predict_each(
    run: Run, paths: AnyPath | Iterable[AnyPath], save_prepared: AnyPath | None = None, **machine: Any
) -> Iterator[Prediction]:
    """See Run.predict_each."""
    model = Model(run, **machine)
    found = pictures(_paths(paths, model), model.data.classes)
    saved = None if save_prepared is None else _empty_folder(Path(save_prepared))
    while some := list(islice(found, LOGITS_BATCH)):
        images = [model.prepare(path) for path, _ in some]
        answers = iter(model.probabilities(image for image in images if not isinstance(image, UserError)))
        for (path, label), image in zip(some, images, strict=True):
            if isinstance(image, UserError):
                yield Prediction(path, model.data.classes, label, error=str(image))
            else:
                if saved:
                    save(image, saved, path)
                yield Prediction(path, model.data.classes, label, next(answers))


def _paths(paths: AnyPath | Iterable[AnyPath], model: Model) -> list[Path]:
    try:
        return [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    except TypeError as error:
        raise UserError(f"images: must be an array of {model.wanted} or paths: {error}") from None


def pictures(paths: Iterable[Path], classes: Sequence[str]) -> Iterator[tuple[Path, int | None]]:
    """Yield the paths, in place of a folder its pictures: each with the class that its subfolder is named after.

    The class is None unless all of a folder's pictures are in subfolders that are named like classes.
    """
    for path in paths:
        if not os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises PermissionError
            yield path, None
            continue
        errors: list[OSError] = []
        found = sorted((Path(entry.path), place.partition("/")[0]) for place, entry in walk(path, errors.append))
        found = [(file, name) for file, name in found if picture.is_picture(file.name)]
        labelled = {name for _, name in found} <= {*classes}
        yield from ((file, classes.index(name) if labelled else None) for file, name in found)
        unreadable = [Path(error.filename) for error in errors] or ([] if found else [path])
        yield from ((folder, None) for folder in unreadable)


def save(image: np.ndarray, folder: Path, path: Path) -> None:
    """Write what the network sees of a picture as PNG into a folder, under the picture's path, or one like it."""
    target = folder.joinpath(*(part for part in path.parts if part not in (path.anchor, "..")))
    numbered = (target.with_name(f"{target.stem}.{i}.png") for i in count(1))
    names = chain([target.with_name(f"{target.stem}.png")], numbered)
    with writing(target, "choose another folder"):
        target.parent.mkdir(parents=True, exist_ok=True)
        with next(name for name in names if not name.exists()).open("xb") as file:
            Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(file, "PNG")


def _empty_folder(folder: Path) -> Path:
    with writing(folder, "choose another folder"):
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UserError(f"{folder} is not empty; choose another folder for --save_prepared")
    return folder
