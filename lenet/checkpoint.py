"""A training state and all that it belongs to <-> one safetensors file."""

import hashlib
import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from safetensors import SafetensorError, safe_open

from lenet import UserError
from lenet.architecture import PRECISIONS, Architecture, from_toml
from lenet.backend import TrainingState, storage_dtype
from lenet.files import write_atomically
from lenet.initialization import initial_parameters

FORMAT = "lenet-1"
MAXIMUM_STEP = 2**53  # float64 counts no further
DTYPES = {"float32": "F32", "float64": "F64"}  # NumPy's names -> those of safetensors
PREFIXES = ("", "first_moment/", "second_moment/")  # of the arrays' names, in the order of TrainingState.arrays


@dataclass(frozen=True)
class Checkpoint:
    """All that it takes to continue a run, in any framework."""

    state: TrainingState
    architecture: Architecture
    seed: int
    precision: str
    training_sha256: dict[str, str]  # of the files that it is trained on
    written_by: dict[str, Any] = field(default_factory=dict)  # framework, engine, versions
    history: list[dict[str, Any]] = field(default_factory=list)  # who trained from which step on, one a change
    sha256: str = ""  # of the file that it was loaded from

    @classmethod
    def initial(
        cls, architecture: Architecture, training_sha256: dict[str, str], seed: int = 0, precision: str = "float32"
    ) -> Self:
        """Return step 0: the seed's parameters, Adam's moments zero."""
        parameters = {
            name: array.astype(storage_dtype(precision))
            for name, array in initial_parameters(seed, architecture).items()
        }
        zeros = {name: np.zeros(array.shape, array.dtype) for name, array in parameters.items()}
        return cls(TrainingState(0, parameters, zeros, zeros), architecture, seed, precision, training_sha256)

    def save(self, path: Path) -> None:
        """Write the file so that a crash at any moment leaves the old one or the new one, whole.

        UserError when it cannot be written, or holds a number that is not finite: the old file stays.
        """
        arrays = {
            prefix + name: np.ascontiguousarray(array)
            for prefix, group in zip(PREFIXES, self.state.arrays, strict=True)
            for name, array in group.items()
        }
        metadata = {
            "format": FORMAT,
            "config": self.architecture.to_toml(),
            "step": str(self.state.step),
            "seed": str(self.seed),
            "precision": self.precision,
            "training_sha256": json.dumps(self.training_sha256),
            "written_by": json.dumps(self.written_by),
            "history": json.dumps(self.history),
        }
        if name := _not_finite(arrays):
            raise UserError(f"{name} is not finite after step {self.state.step}, so it is not saved", exit_code=1)
        metadata["sha256"] = _sha256(arrays, metadata)
        write_atomically(path, _header(arrays, metadata), *(array.data for array in arrays.values()))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file; UserError when there is none, or it is damaged or something else."""
        try:
            if path.exists() and not path.is_file():
                raise UserError("not a file")
            path.open("rb").close()  # safetensors calls whatever it cannot open missing
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != FORMAT:
                    raise UserError(f"its format is not {FORMAT}")
                architecture, precision = from_toml(metadata["config"], "config"), metadata["precision"]
                dtype = DTYPES[storage_dtype(precision)]
                expected = {prefix + name: shape for prefix in PREFIXES for name, shape in architecture.shapes.items()}
                slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - it has no other iterator
                if {name: (part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()} != {
                    name: (dtype, shape) for name, shape in expected.items()
                }:
                    raise UserError("its arrays are not those of its config")
                arrays = file.get_tensors()  # only now: another model may be larger than the memory
            sha256 = metadata.pop("sha256", "")
            if sha256 != _sha256(arrays, metadata):
                raise UserError("damaged, its content is not what its SHA-256 says; use another copy")
            if name := _not_finite(arrays):
                raise UserError(f"{name} is not finite")
            groups = [{name: arrays[prefix + name] for name in architecture.shapes} for prefix in PREFIXES]
            step, seed = int(metadata["step"]), int(metadata["seed"])
            training_sha256, written_by = json.loads(metadata["training_sha256"]), json.loads(metadata["written_by"])
            history = json.loads(metadata.get("history", "[]"))  # the first files had none
            if (
                precision not in PRECISIONS
                or not 0 <= step <= MAXIMUM_STEP
                or seed < 0
                or not isinstance(history, list)
                or not all(isinstance(value, dict) for value in (training_sha256, written_by, *history))
            ):
                raise UserError("its step, seed, precision or origin is none that a run can have")
            state = TrainingState(step, *groups)
            return cls(state, architecture, seed, precision, training_sha256, written_by, history, sha256)
        except FileNotFoundError:
            raise UserError(f"there is no checkpoint {path}; train one first, or name another after --load") from None
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError, UserError) as error:
            raise UserError(f"{path}: not a checkpoint, or not a whole one: {error}") from None

    def refuse_other(self, wanted: Architecture, path: Path) -> None:
        """UserError naming the first array, or else the first setting, that differs from the wanted architecture's."""
        there, here = self.architecture.network, wanted.network
        for name in {**here, **there}:
            if there.get(name) != here.get(name):
                raise UserError(
                    f"{path}: a checkpoint of another architecture: {name} is {there.get(name, 'missing')} in it, "
                    f"{here.get(name, 'missing')} in this config; choose its own with --config"
                )


def _header(arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> bytes:
    """What a safetensors file has before the arrays' bytes; the library would hold the whole file twice in memory."""
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name, array in arrays.items():
        start, end = end, end + array.nbytes
        header[name] = {"dtype": DTYPES[array.dtype.name], "shape": array.shape, "data_offsets": (start, end)}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # so that the arrays lie aligned
    return struct.pack("<Q", len(text)) + text


def _not_finite(arrays: dict[str, np.ndarray]) -> str | None:
    """The name of the first array that holds an infinity or a NaN."""
    return next((name for name, array in arrays.items() if not np.isfinite(array).all()), None)


def _sha256(arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> str:
    """Over all that the file says: the metadata, and each array's name, dtype, shape and bytes."""
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()
