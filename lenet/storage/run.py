"""Run: a run's folder, its name, its lock and its files."""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

import numpy as np

from lenet.errors import HeldError, UserError, notice
from lenet.log import PARTS
from lenet.settings import Settings
from lenet.storage.checkpoint import Checkpoint
from lenet.storage.curves import Curve, copy_events, read_curves
from lenet.system.files import TEMPORARY, copy, is_locked, lock, log_folder, move_aside, replacing, writing
from lenet.system.streams import command_line

if TYPE_CHECKING:
    from lenet.use.prediction import Prediction

AnyPath = str | Path
CHECKPOINT = "checkpoint.safetensors"
RESULT, PREDICTIONS = "result.json", "predictions.npy"
BEST = "best.safetensors"  # the checkpoint of the lowest cross-entropy of all held-out images


@dataclass(frozen=True)
class Run:
    """A run on disk, by its checkpoint: <log_dir>/<variant>/<framework>/seed-<seed>/checkpoint.safetensors.

    Beside it are best.safetensors, TensorBoard's files, config.toml, predictions.npy and result.json.
    """

    path: Path

    @classmethod
    def of(cls, log_dir: Path, settings: Settings, framework: str) -> Self:
        """Return the run that these settings and this framework have in a log folder."""
        return cls(log_dir / settings.variant / framework / f"seed-{settings.seed}" / CHECKPOINT)

    @classmethod
    def at(cls, path: Path) -> Self:
        """Return the run in a folder, or of a checkpoint file."""
        try:
            return cls(path / CHECKPOINT if path.is_dir() else path)
        except OSError:  # it may not be looked at
            return cls(path)

    @property
    def exists(self) -> bool:
        """Whether there is a checkpoint that may be looked at."""
        return os.path.exists(self.path)  # noqa: PTH110 - Path.exists raises PermissionError

    @property
    def folder(self) -> Path:
        """The folder that the checkpoint is in."""
        return self.path.parent

    @property
    def is_tested(self) -> bool:
        """Whether there are a result and the predictions that it is of."""
        return all(os.path.isfile(self.folder / name) for name in (RESULT, PREDICTIONS))  # noqa: PTH113 - as in `exists`

    @property
    def is_held(self) -> bool:
        """Whether a process trains here."""
        return is_locked(self.folder.with_name(f"{self.folder.name}.lock"))

    @property
    def checkpoint(self) -> Checkpoint:
        """The settings, the history and the last saved state; UserError if there is none."""
        return Checkpoint.load(self.path)

    @property
    def result(self) -> dict[str, Any]:
        """The content of result.json; UserError if there is none."""
        result: dict[str, Any] = self._read(RESULT, lambda path: json.loads(path.read_text(encoding="utf-8")))
        return result

    @property
    def predictions(self) -> np.ndarray:
        """The probabilities of the test images at its last test, float32 [n, classes]; UserError without them."""
        predictions: np.ndarray = self._read(PREDICTIONS, np.load)
        return predictions

    def _read(self, name: str, read: Callable[[Path], Any]) -> Any:
        path = self.folder / name
        try:
            return read(path)
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"{path}: cannot be read: {error}; train the run to its end first") from None

    @property
    def curves(self) -> dict[str, dict[str, Curve]]:
        """The curves: `train`, `test` or `validation` -> `accuracy` or another tag -> steps and values."""
        return {part: read_curves(self.folder / part) for part in PARTS}

    def predict(self, images: np.ndarray | AnyPath | Iterable[AnyPath], **machine: Any) -> np.ndarray:
        """Images uint8 [n, height, width] or in colour [n, height, width, 3], or paths -> probabilities [n, classes].

        Pictures are prepared as the training images were, arrays are taken as they are. `machine`: the framework, the
        device and the threads, as `lenet.train` has them. Raises UserError.
        """
        from lenet.use import predict  # a run that is only trained does without

        return predict.predict(self, images, **machine)

    def predict_each(
        self, paths: AnyPath | Iterable[AnyPath], save_prepared: AnyPath | None = None, **machine: Any
    ) -> "Iterator[Prediction]":
        """Yield what the model says of each picture in files and folders, or why it cannot be read. Raises UserError.

        With `save_prepared`, an empty folder, what the network sees of each is written there as PNG.
        """
        from lenet.use import predict

        return predict.predict_each(self, paths, save_prepared, **machine)

    def export(self, path: AnyPath) -> str:
        """Write the model for other programs, as the path ends, and return the lines of Python that load it.

        The endings are .onnx, .pt2, .pt, .safetensors, .keras, .html and, for TensorFlow's SavedModel, "/", in a text.
        All but the page are compared with the parameters first. What was there is moved aside. Raises UserError.
        """
        from lenet.use import export

        return export.export(self, path)

    def write(self, predictions: np.ndarray, result: dict[str, Any]) -> None:
        """Write predictions.npy, then result.json."""
        with replacing(self.folder / PREDICTIONS) as temporary, temporary.open("wb") as file:
            np.save(file, predictions.astype(np.float32))
        with replacing(self.folder / RESULT) as temporary:
            temporary.write_text(json.dumps(result, indent=2), encoding="utf-8")

    def keep_best(self, saved: Checkpoint) -> None:
        """Keep the checkpoint that was just saved as best.safetensors, if it is the best."""
        best = self.folder / BEST
        is_best = saved.best is not None and saved.best.step == saved.state.step
        if is_best and not (best.exists() and best.samefile(self.path)):
            with replacing(best) as temporary:
                copy(self.path, temporary)

    def has_best(self, start: Checkpoint) -> bool:
        """Whether best.safetensors is the best that a checkpoint knows."""
        try:
            return start.best is not None and Checkpoint.load(self.folder / BEST, whole=False).best == start.best
        except UserError:
            return False

    def forget(self) -> None:
        """Remove the checkpoints; what the run came to stays."""
        for path in (self.folder / BEST, self.path):
            path.unlink(missing_ok=True)

    def lock(self) -> IO[str]:
        """Keep the folder to this process until the file that is returned is closed; UserError if it cannot be kept."""
        with log_folder(self.folder.parent):
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                return lock(self.folder.with_name(f"{self.folder.name}.lock"))
            except BlockingIOError as error:
                raise HeldError(f"{error} trains in {self.folder}; wait for it, or choose another --seed") from None

    def make_ready(self, source: "Run | None", start: Checkpoint) -> None:
        """Make the folder, which is locked, ready for a run that goes on from `source`, or begins at step 0.

        `start` was read from the source. A run from step 0 moves a run that is here aside; a run that goes on from
        elsewhere begins with the curves from there. UserError if a run is in the way, if the source has changed since,
        or if the folder cannot be written.
        """
        with writing(self.folder):
            here = source is not None and source.path.resolve() == self.path.resolve()
            if here:
                if (found := self.checkpoint).sha256 != start.sha256:
                    raise UserError(f"another process has just trained in {self.folder}; start this one again")
                self.keep_best(found)  # a process that was killed may have saved it without
            if source and not here and self.exists:
                text = f"{self.folder} already has a run; continue it with --load {command_line(self.folder)}"
                raise UserError(f"{text}, or choose another --log_dir for this one")
            if not here and (self.exists or (self.folder / RESULT).exists() or (source and self.folder.exists())):
                notice(f"the old run in {self.folder} was renamed to {move_aside(self.folder)}")
            self.folder.mkdir(exist_ok=True)
            for leftover in self.folder.glob(f"*{TEMPORARY}"):  # of a process that was killed while it saved
                leftover.unlink()
            if source and not here:
                for part in PARTS:
                    copy_events(source.folder / part, self.folder / part)
                if source.has_best(start):
                    with replacing(self.folder / BEST) as temporary:
                        shutil.copyfile(source.folder / BEST, temporary)
