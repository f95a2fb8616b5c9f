"""Predictions: what a run's model says of pictures."""

import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from json import dumps as to_json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lenet import api
from lenet.architecture import CLASSES, IMAGE_SIZE
from lenet.dataset import Fingerprint
from lenet.errors import UserError
from lenet.storage.run import AnyPath, Run
from lenet.system.files import writing
from lenet.system.streams import print_line, printable
from lenet.trainer import LOGITS_BATCH
from lenet.use import picture
from lenet.use.forward import probabilities
from lenet.use.preparation import prepare

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif")  # of the files that a folder is read for
# Data that was prepared as MNIST was; its name is that of its folder.
HANDWRITING = re.compile(r"[qe]?mnist(?![a-z])", re.IGNORECASE)


def is_handwriting(data: Fingerprint) -> bool:
    """Return whether the data's images were prepared as MNIST's, going by its name."""
    return bool(HANDWRITING.match(data.name))


@dataclass(frozen=True)
class Prediction:
    """What the model says of one picture: the probabilities float64 [classes], or the error that kept it from that."""

    path: Path
    label: int | None = None  # the class that the picture's folder is named after
    probabilities: np.ndarray | None = None
    error: str = ""

    @property
    def classes(self) -> list[int]:
        """The classes, the most probable first."""
        return [] if self.probabilities is None else np.argsort(-self.probabilities, kind="stable").tolist()

    def as_text(self) -> str:
        """Return one line: path, class, probability, and the next two."""
        assert self.probabilities is not None  # noqa: S101 - for mypy
        first, *others = (f"{each} ({100 * self.probabilities[each]:.1f} %)" for each in self.classes[:3])
        return f"{printable(str(self.path))}: {first}, then {', '.join(others)}"

    def as_json(self) -> str:
        """Return one JSON object with path, class, probability and probabilities, or with path and error."""
        values: dict[str, Any] = {"path": os.fsencode(self.path).decode(errors="replace")}
        if self.probabilities is None:
            return to_json(values | {"error": self.error})
        best = self.classes[0]
        values |= {"class": best, "probability": float(self.probabilities[best])}
        return to_json(values | {"probabilities": self.probabilities.tolist()})


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
    if isinstance(images, np.ndarray):
        if images.dtype != np.uint8 or images.shape[1:] != (IMAGE_SIZE, IMAGE_SIZE):
            wanted = f"uint8 [n, {IMAGE_SIZE}, {IMAGE_SIZE}]"
            raise UserError(f"images: must be {wanted}, from 0 to 255, not {images.dtype} {list(images.shape)}")
        return model.probabilities(images)
    paths = [images] if isinstance(images, str | Path) else images
    prepared = []
    for path in map(Path, paths):
        if isinstance(image := _prepared(model, path), UserError):
            raise UserError(f"{path}: {image}")
        prepared.append(image)
    return model.probabilities(_stack(prepared))


def predict_each(
    run: Run, paths: Iterable[AnyPath], save_prepared: AnyPath | None = None, **machine: Any
) -> Iterator[Prediction]:
    """See Run.predict_each."""
    model = Model(run, **machine)
    found = pictures(map(Path, paths))
    while some := list(islice(found, LOGITS_BATCH)):
        images = [_prepared(model, path) for path, _ in some]
        answers = iter(model.probabilities(_stack(image for image in images if not isinstance(image, UserError))))
        for (path, label), image in zip(some, images, strict=True):
            if isinstance(image, UserError):
                yield Prediction(path, label, error=str(image))
            else:
                if save_prepared is not None:
                    save(image, Path(save_prepared), path)
                yield Prediction(path, label, next(answers))


def _prepared(model: Model, path: Path) -> np.ndarray | UserError:
    try:
        return model.prepare(picture.read(path))
    except UserError as error:
        return error


def _stack(images: Iterable[np.ndarray]) -> np.ndarray:
    return np.array(list(images), np.uint8).reshape(-1, IMAGE_SIZE, IMAGE_SIZE)


def pictures(paths: Iterable[Path]) -> Iterator[tuple[Path, int | None]]:
    """Yield the paths, in place of a folder its pictures: each with the class that its subfolder is named after.

    The class is None unless all of a folder's pictures are in subfolders that are named like classes.
    """
    for path in paths:
        if not path.is_dir():
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
    """Write what the network sees of a picture as PNG into a folder, under the picture's path."""
    parts = [part for part in path.parts if part not in (path.anchor, "..")]
    target = folder.joinpath(*parts)
    target = target if target.suffix.lower() == ".png" else target.with_name(f"{target.name}.png")
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(target)


def print_all(predictions: Iterable[Prediction], json: bool) -> int:
    """Print each on stdout, or why it failed on stderr, and at the end the accuracy; return the exit code."""
    done = []
    for each in predictions:
        done.append(each)
        if each.error and not json:
            print_line(f"main.py: {printable(str(each.path))}: {each.error}", sys.stderr)
        elif not print_line(each.as_json() if json else each.as_text(), sys.stdout):
            raise UserError("the predictions cannot be written to stdout", 1)
    if not json and (text := summary(done)):
        print_line(text, sys.stdout)
    return 1 if any(each.error for each in done) else 0


def summary(predictions: Iterable[Prediction], most: int = 10) -> str:
    """Return the accuracy on the pictures with a label, and the most frequent mistakes; empty if there is none."""
    pairs = [(each.label, each.classes[0]) for each in predictions if each.label is not None and each.classes]
    if not pairs:
        return ""
    mistakes = Counter((label, said) for label, said in pairs if label != said)
    text = f"accuracy {100 * (1 - mistakes.total() / len(pairs)):.2f} % of {len(pairs):,} pictures"
    for i, ((label, said), count) in enumerate(mistakes.most_common(most)):
        text += f"{', ' if i else '; confusions: '}{label} as {said} ({count})"
    return text + (f", and {len(mistakes) - most} others" if len(mistakes) > most else "")
