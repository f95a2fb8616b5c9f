"""Checkpoint: a training state and its Settings <-> one safetensors file."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from safetensors import SafetensorError, safe_open

from lenet.backend import TrainingState, storage_dtype
from lenet.config import read
from lenet.errors import DivergedError, UserError
from lenet.initialization import initial_parameters
from lenet.settings import Settings
from lenet.storage import lenet1, others
from lenet.system import tensors
from lenet.system.tensors import KEY

FORMAT = "lenet-2"
MAXIMUM_STEP = 2**53  # float64 counts no further
DTYPES = {"float32": "F32", "float64": "F64"}  # NumPy's names -> those of safetensors
PREFIXES = ("", "first_moment/", "second_moment/")  # of the arrays' names, in the order of TrainingState.arrays


@dataclass(frozen=True)
class Stage:
    """A part of a run's history: the steps from `from_step` on, by one framework with one Settings."""

    from_step: int
    framework: str
    settings: Settings


@dataclass(frozen=True)
class Best:
    """The saved step with the lowest cross-entropy of all held-out images."""

    step: int
    cross_entropy: float


@dataclass(frozen=True)
class Checkpoint:
    """All that it takes to continue a run, in any framework."""

    state: TrainingState
    settings: Settings
    history: tuple[Stage, ...] = ()
    best: Best | None = None  # None: none is known
    sha256: str = ""  # of the file that it was loaded from

    @classmethod
    def initial(cls, settings: Settings) -> Self:
        """Return step 0: the seed's parameters, with Adam's moments zero."""
        dtype = storage_dtype(settings.precision)
        initial = initial_parameters(settings.seed, settings.network)
        parameters = {name: array.astype(dtype) for name, array in initial.items()}
        zeros = {name: np.zeros(array.shape, array.dtype) for name, array in parameters.items()}
        return cls(TrainingState(0, parameters, zeros, zeros), settings)

    def advanced(self, state: TrainingState, framework: str, cross_entropy: float | None = None) -> "Checkpoint":
        """Return the checkpoint after the steps up to `state`, which `framework` made with these settings.

        `cross_entropy` is that of all held-out images, if it is known.
        """
        stage = Stage(self.state.step, framework, self.settings)
        known = self.history and dataclasses.replace(stage, from_step=self.history[-1].from_step) == self.history[-1]
        made = state.step > self.state.step
        history, best = self.history if known or not made else (*self.history, stage), self.best
        if cross_entropy is not None and (best is None or cross_entropy < best.cross_entropy):
            best = Best(state.step, cross_entropy)
        return Checkpoint(state, self.settings, history, best)

    def steps_left(self, wanted: int | None) -> int:
        """Return how many steps to make: as many as wanted, by default all; UserError if fewer are left."""
        left = self.settings.last_step(None if wanted is None else MAXIMUM_STEP) - self.state.step
        if left < 0:
            text = (
                f"{self.settings.variant} would end at step {self.state.step + left:,}, before step {self.state.step:,}"
            )
            raise UserError(f"{text}, which it has reached; choose a later decay_steps")
        if wanted is not None and wanted > left:
            step, complete = self.state.step, "it is complete: leave --load out to start a new run"
            advice = f"use --train_num {left} or less" if left else complete
            text = f"{self.settings.variant} ends at step {step + left:,}, and is at step {step:,}"
            raise UserError(f"{text}; {advice}")
        return left if wanted is None else wanted

    def save(self, path: Path) -> None:
        """Write the file so that a crash at any moment leaves the old one or the new one, whole.

        UserError if it cannot be written, or if a number in it is not finite: the old file stays.
        """
        arrays = {
            prefix + name: np.ascontiguousarray(array)  # for the SHA-256
            for prefix, group in zip(PREFIXES, self.state.arrays, strict=True)
            for name, array in group.items()
        }
        if name := _not_finite(arrays):
            text = f"{name} is not finite after step {self.state.step}, so it is not saved"
            raise DivergedError(f"{text}; try a smaller --learning_rate", exit_code=1)
        content: dict[str, Any] = {"format": FORMAT, "step": self.state.step}
        content |= {"settings": dataclasses.asdict(self.settings)}
        content |= {"history": [dataclasses.asdict(stage) for stage in self.history]}
        if self.best:
            content |= {"best": dataclasses.asdict(self.best)}
        content |= {"sha256": _sha256(arrays, content)}
        tensors.save(path, arrays, json.dumps(content))

    @classmethod
    def load(cls, path: Path, whole: bool = True) -> Self:
        """Read the file; UserError if there is none, if it is damaged, or if it is something else.

        Not `whole`, it has no arrays: they are not read, nor is the SHA-256 over them checked.
        """
        try:
            if path.exists() and not path.is_file():
                raise UserError("not a file")
            path.open("rb").close()  # safetensors calls any file that it cannot open missing
            with safe_open(path, framework="numpy") as file:
                content, hashed = _content(file.metadata() or {})
                step, settings = content["step"], read(Settings, content["settings"], "settings")
                _require_arrays(file, settings)
                arrays = file.get_tensors() if whole else {}  # only now: another model may be larger than the memory
            if whole and content["sha256"] != _sha256(arrays, hashed):
                raise UserError(f"damaged, its SHA-256 does not match; {_another(path)}")
            if name := _not_finite(arrays):
                raise UserError(f"{name} is not finite")
            history = read(tuple[Stage, ...], content["history"], "history")
            if not 0 <= read(int, step, "step") <= MAXIMUM_STEP:
                raise UserError(f"step: must be from 0 to {MAXIMUM_STEP}, not {step}")
            names = settings.network.shapes if whole else ()
            groups = [{name: arrays[prefix + name] for name in names} for prefix in PREFIXES]
            best = read(Best | None, content.get("best"), "best")
            return cls(TrainingState(step, *groups), settings, history, best, content["sha256"])
        except FileNotFoundError:
            raise UserError(f"there is no checkpoint {path}; train one first, or name another after --load") from None
        except (
            OSError,
            SafetensorError,
            ArithmeticError,
            LookupError,
            TypeError,
            ValueError,
            RecursionError,
            UserError,
        ) as error:
            if kind := others.describe(path):
                text = f"{path}: {kind}, it seems; only this program's own checkpoint.safetensors can be loaded"
                raise UserError(text) from None
            # The library's words help no user.
            reason = f"; {_another(path)}" if isinstance(error, SafetensorError) else f": {error}"
            raise UserError(f"{path}: not a checkpoint, or an incomplete one{reason}") from None


def _another(path: Path) -> str:
    """Say what to do where a file is damaged."""
    others = {"checkpoint.safetensors", "best.safetensors"} - {path.name}
    beside = [f"{name} beside it" for name in others if path.with_name(name).exists()]
    return f"use {', or '.join([*beside, 'another copy'])}"


def _content(metadata: dict[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a file says of itself, and the part of it that its SHA-256 is over."""
    if metadata.get("format") == lenet1.FORMAT:
        return lenet1.content(metadata), {key: value for key, value in metadata.items() if key != "sha256"}
    content = json.loads(metadata.get(KEY, "{}"))
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"its format is not {FORMAT}; a run's file is checkpoint.safetensors")
    return content, {key: value for key, value in content.items() if key != "sha256"}


def _require_arrays(file: safe_open, settings: Settings) -> None:
    """Raise UserError if the arrays, unread yet, have other names, dtypes or shapes than the settings say."""
    dtype = DTYPES[storage_dtype(settings.precision)]
    shapes = settings.network.shapes
    expected = {prefix + name: (dtype, shape) for prefix in PREFIXES for name, shape in shapes.items()}
    slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - it has no other iterator
    if {name: (part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()} != expected:
        raise UserError("its arrays do not match its config")


def _not_finite(arrays: dict[str, np.ndarray]) -> str | None:
    """Return the name of the first array with an infinity or a NaN."""
    return next((name for name, array in arrays.items() if not np.isfinite(array).all()), None)


def _sha256(arrays: dict[str, np.ndarray], content: dict[str, Any]) -> str:
    """Over all that the file says: the metadata, and each array's name, dtype, shape and bytes."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()
