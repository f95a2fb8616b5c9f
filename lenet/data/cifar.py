"""CIFAR-10's binary version: records of a label and 32x32 pixels, channel after channel."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from lenet.data.source import Examples, Source, missing, names_beside, require_limits
from lenet.errors import UserError

RECORD = 1 + 3 * 32 * 32  # bytes
FILES = {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}


@dataclass
class Cifar(Source):
    """A folder of CIFAR-10's batches."""

    @classmethod
    def find(cls, path: Path) -> Self | None:
        """Return the batches in a folder, or in cifar-10-batches-bin below it."""
        for folder in (path, path / "cifar-10-batches-bin"):
            there = [file.name for file in folder.iterdir()] if folder.is_dir() else []
            if any(re.fullmatch(r"(data|test)_batch(_\d)?\.bin", name) for name in there):
                return cls(folder, folder.resolve().name, names_beside(folder, "batches.meta.txt"))
        return None

    def read(self, parts: Sequence[str], shape: tuple[int | None, ...]) -> dict[str, Examples]:  # noqa: ARG002
        """See Source.read."""
        return {part: self._read(FILES[part]) for part in parts}

    def _read(self, names: Sequence[str]) -> Examples:
        records = []
        for name in names:
            path = self.path / name
            try:
                size = path.stat().st_size
                require_limits(path, -(-size // RECORD), (32, 32, 3))
                if size % RECORD:
                    raise UserError(f"{path}: {size:,} bytes; CIFAR-10's records have {RECORD:,} each")
                records.append(np.fromfile(path, np.uint8).reshape(-1, RECORD))
            except FileNotFoundError:
                raise missing(self.path, name, known={*FILES["train"], *FILES["test"]}) from None
        all_records = np.concatenate(records)
        images = all_records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        return Examples(np.ascontiguousarray(images), all_records[:, 0].astype(np.int64))
