"""Cache: what takes long to read is kept in the log folder, decoded, for the next time."""

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from lenet.data.source import Examples, Source
from lenet.errors import UserError
from lenet.system import tensors

FOLDER = "data"  # in the log folder
VERSION = 2  # of what the readers make of a file


def cached(
    source: Source, parts: Sequence[str], shape: tuple[int | None, ...], log_dir: str | Path | None
) -> dict[str, Examples]:
    """Return what a source reads, from the log folder if it is there and the files have not changed since.

    What is there is only used if its SHA-256 is right. Where the folder cannot be written, nothing is kept.
    """
    files = source.files(parts) if log_dir else []
    if not files or log_dir is None:
        return source.read(parts, shape)
    place = json.dumps([str(source.path.absolute()), parts, shape])
    key = _sha256(json.dumps([VERSION, place, source.names, files]).encode())
    path = Path(log_dir, FOLDER) / f"{_sha256(place.encode())[:12]}.safetensors"
    if (found := _load(path, key, parts)) is not None:
        return found
    examples = source.read(parts, shape)
    arrays = {
        f"{part}/{kind}": np.ascontiguousarray(array)  # for the SHA-256
        for part in parts
        for kind, array in examples[part]._asdict().items()
    }
    with contextlib.suppress(UserError, OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors.save(path, arrays, json.dumps([key, _digest(arrays)]))
    return examples


def _load(path: Path, key: str, parts: Sequence[str]) -> dict[str, Examples] | None:
    """Return the examples in a file; None if there is none, if it is damaged, or if it is of other files."""
    try:
        path.open("rb").close()  # safetensors calls any file that it cannot open missing
        with safe_open(path, framework="numpy") as file:
            found_key, digest = json.loads((file.metadata() or {})[tensors.KEY])
            if found_key != key:
                return None
            arrays = file.get_tensors()
        if digest != _digest(arrays):
            return None
        return {part: Examples(arrays[f"{part}/images"], arrays[f"{part}/labels"]) for part in parts}
    except (OSError, SafetensorError, LookupError, TypeError, ValueError):
        return None


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    return _sha256(*(array.data for _, array in sorted(arrays.items())))


def _sha256(*contents: bytes | memoryview) -> str:
    digest = hashlib.sha256()
    for content in contents:
        digest.update(content)
    return digest.hexdigest()
