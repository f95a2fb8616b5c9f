"""A training state and all that it belongs to <-> one safetensors file."""

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError, safe_open

from lenet import UserError
from lenet.architecture import Architecture, from_toml
from lenet.backend import TrainingState, storage_dtype
from lenet.initialization import initial_parameters

FORMAT = "lenet-1"
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

    @classmethod
    def initial(
        cls, architecture: Architecture, training_sha256: dict[str, str], seed: int = 0, precision: str = "float32"
    ) -> Self:
        """Return step 0: the seed's parameters, Adam's moments zero."""
        parameters = {
            name: array.astype(storage_dtype(precision))
            for name, array in initial_parameters(seed, architecture).items()
        }
        zeros = {name: np.zeros_like(array) for name, array in parameters.items()}
        return cls(TrainingState(0, parameters, zeros, zeros), architecture, seed, precision, training_sha256)

    def save(self, path: Path) -> None:
        """Write the file so that a crash at any moment leaves the old one or the new one, whole."""
        # safetensors writes the memory as it lies, so a transposed array must be laid out first.
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
        }
        metadata["sha256"] = _sha256(arrays, metadata)
        write_atomically(path, safetensors.numpy.save(arrays, metadata))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file; UserError when there is none, or it is damaged or something else."""
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                arrays = file.get_tensors()
            if metadata.get("format") != FORMAT:
                raise UserError(f"its format is not {FORMAT}")
            if metadata.pop("sha256", None) != _sha256(arrays, metadata):
                raise UserError("damaged, its content is not what its SHA-256 says; use another copy")
            architecture = from_toml(metadata["config"], "config")
            groups = [{name: arrays[prefix + name] for name in architecture.shapes} for prefix in PREFIXES]
            if any(group[name].shape != shape for group in groups for name, shape in architecture.shapes.items()):
                raise UserError("its arrays are not those of its config")
            return cls(
                state=TrainingState(int(metadata["step"]), *groups),
                architecture=architecture,
                seed=int(metadata["seed"]),
                precision=metadata["precision"],
                training_sha256=json.loads(metadata["training_sha256"]),
                written_by=json.loads(metadata["written_by"]),
            )
        except FileNotFoundError:
            raise UserError(f"there is no checkpoint {path}; train one first, or name another after --load") from None
        except (OSError, SafetensorError, KeyError, ValueError, UserError) as error:
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


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` so that a crash at any moment leaves the old content or the new, whole."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # makes the renaming itself durable
    finally:
        os.close(folder)


def _sha256(arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> str:
    """Over all that the file says: the metadata, and each array's name, dtype, shape and bytes."""
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()
