"""Member: a run of a study, what it lacks, and how long and how large it is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from lenet.backend import storage_dtype
from lenet.config import read
from lenet.errors import UserError, notice_once
from lenet.settings import Settings
from lenet.storage.checkpoint import Checkpoint, Stage
from lenet.storage.run import Run

STEP_BYTES = 250  # of TensorBoard's files, roughly
RESULT_BYTES = 10_000  # of result.json, roughly


@dataclass(frozen=True)
class Member:
    """A run of a study."""

    settings: Settings
    framework: str
    run: Run
    steps: int

    @classmethod
    def of(cls, settings: Settings, framework: str, log_dir: Path, steps: int | None) -> Self:
        """Return the run in a log folder, to be trained to the end of its schedule, or else for `steps`; UserError."""
        last = settings.last_step(steps)
        if steps not in (None, last):
            notice_once(f"{settings.config.name} ignores --train_num: its schedule ends at step {last:,}")
        return cls(settings, framework, Run.of(log_dir, settings, framework), last)

    def __str__(self) -> str:
        return f"{self.settings.variant} {self.framework} seed {self.settings.seed}"

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing; UserError as from `look`."""
        return self.look()[1]

    def look(self) -> tuple[int, bool]:
        """Return how many steps are saved, and whether nothing is missing: neither a step nor the test after the last.

        UserError if its folder has another run than the beginning of this one.
        """
        folder, saved = self.run.folder, self._saved
        result = self._result  # read after the checkpoint, which may be removed when the result is there
        if saved:
            found, step, history = saved.settings, saved.state.step, saved.history
        else:
            try:
                found, step = read(Settings, result["settings"]), result["step"]
                history = read(tuple[Stage, ...], result["history"])
            except (LookupError, TypeError, ValueError):
                return 0, False
        if found != self.settings:
            raise UserError(f"{folder} has another run: {found.difference(self.settings)}")
        if step and history != (Stage(0, self.framework, self.settings),):
            raise UserError(f"a part of the run in {folder} was trained with other settings or another framework")
        if step > self.steps:
            raise UserError(f"{folder} already has {step} steps; use --train_num {step}, not {self.steps}")
        if step < self.steps and not saved:
            raise UserError(f"{folder} has {step} steps, and no checkpoint to go on from; use --train_num {step}")
        return step, step == self.steps and result.get("step") == step

    @property
    def _saved(self) -> Checkpoint | None:
        """The checkpoint, without its arrays, if there is one."""
        try:
            return Checkpoint.load(self.run.path, whole=False) if self.run.exists else None
        except UserError:
            if self.run.exists:
                raise
            return None  # it has just been removed

    @property
    def _result(self) -> dict[str, Any]:
        """The result; empty if there is none that can be read, or no predictions beside it."""
        try:
            return self.run.result if self.run.is_tested else {}
        except UserError:
            return {}

    @property
    def multiply_adds(self) -> int:
        """The arithmetic of its steps: an image takes three times that of its forward pass."""
        return 3 * self.steps * self.settings.training.batch_size * self.settings.network.multiply_adds

    @property
    def checkpoint_bytes(self) -> int:
        """How large its checkpoint is."""
        item = {"float32": 4, "float64": 8}[storage_dtype(self.settings.precision)]
        return 3 * item * self.settings.network.parameters

    def other_bytes(self, test_images: int) -> int:
        """Return how large its other files are, roughly."""
        return 4 * test_images * self.settings.network.classes + self.steps * STEP_BYTES + RESULT_BYTES
