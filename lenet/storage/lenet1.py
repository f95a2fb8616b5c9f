"""lenet-1, the format of checkpoints before: its metadata as lenet-2 has them."""

import dataclasses
import json
import tomllib
from typing import Any

from lenet import config
from lenet.architecture import Architecture
from lenet.config import Config
from lenet.dataset import MNIST, DatasetInfo, part_sha256
from lenet.training import Training

FORMAT = "lenet-1"


def content(metadata: dict[str, str]) -> dict[str, Any]:
    """Return step, settings, history and SHA-256; ValueError, LookupError or TypeError if something is wrong."""
    architecture, training = config.sections(tomllib.loads(metadata["config"]))
    settings = {
        "config": dataclasses.asdict(_config(architecture, training)),
        "architecture": dataclasses.asdict(architecture),
        "training": dataclasses.asdict(training),
        "data": _data(json.loads(metadata["training_sha256"])),
        "precision": metadata["precision"],
        "seed": int(metadata["seed"]),
    }
    history = [
        {
            "from_step": stage["from_step"],
            "framework": stage["framework"],
            "settings": settings
            | {"training": {key: stage[key] for key in ("batch_size", "learning_rate")}}
            | {"data": _data(stage["training_sha256"]), "precision": stage["precision"], "seed": stage["seed"]},
        }
        for stage in json.loads(metadata.get("history", "[]"))  # the first files had none
    ]
    sha256 = metadata.get("sha256", "")
    return {"step": int(metadata["step"]), "settings": settings, "history": history, "sha256": sha256}


def _config(architecture: Architecture, training: Training) -> Config:
    """Return the config in configs/ that has the architecture: the files of then had no name."""
    for name in config.CONFIGS:
        if (known := config.load(name)).architecture == architecture:
            return known
    name = config.name_by_content("config", config.to_toml(architecture, training))
    return Config(name, architecture, training)


def _data(sha256: Any) -> dict[str, Any]:
    """Return the info; the files of then named the training part alone."""
    if not isinstance(sha256, dict):
        raise TypeError("training_sha256: must be a table")
    training = part_sha256(sha256, "train")
    known = MNIST if training == MNIST.training_sha256 else DatasetInfo(f"data~{training[:6]}", training, "")
    return dataclasses.asdict(known)
