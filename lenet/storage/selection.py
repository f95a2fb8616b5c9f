"""Selection: which run the arguments of the API name, and the checkpoint that it goes on from."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lenet import config as config_file
from lenet.dataset import MNIST, Fingerprint
from lenet.errors import UserError, notice
from lenet.settings import Settings, difference, flat
from lenet.storage.checkpoint import Checkpoint
from lenet.storage.run import AnyPath, Run


@dataclass(frozen=True)
class Selection:
    """The arguments, as lenet.train has them; those that are None are the checkpoint's, or else the config's."""

    log_dir: Path
    framework: str
    load: AnyPath | bool
    config: AnyPath | None
    changes: Mapping[str, Any] | None
    seed: int | None
    precision: str | None

    def start(self, data: Fingerprint, training: bool) -> tuple[Run | None, Checkpoint]:
        """Return the run to go on from, None for step 0, and the checkpoint with the settings from now on.

        A notice if the run was trained on other data than these.
        """
        wanted = self._wanted(data)
        if self.load is False:
            return None, Checkpoint.initial(wanted)
        source = self._source(wanted, training)
        if self.load is True and training and not source.exists:
            notice(f"there is no run to go on from in {source.folder}; it begins at step 0")
            return None, Checkpoint.initial(wanted)
        found = self._checkpoint(source, wanted)
        settings, known = self._changed(found.settings), found.settings.data
        part = "training_sha256" if training or not known.test_sha256 else "test_sha256"
        if getattr(known, part) != getattr(data, part):
            notice(f"{source.path} was trained on other data: {known.name}, not {data.name}")
        settings = dataclasses.replace(settings, data=data) if training else settings
        return source, dataclasses.replace(found, settings=settings)

    def run(self, data: Fingerprint = MNIST) -> Run:
        """Return the run as it is; UserError if it has no whole checkpoint, or one of another architecture."""
        wanted = self._wanted(data)
        source = self._source(wanted, training=False)
        settings = self._checkpoint(source, wanted).settings
        if other := settings.difference(self._changed(settings)):
            raise UserError(f"{source.path}: {other}; leave that flag out")
        return source

    def _wanted(self, data: Fingerprint) -> Settings:
        return self._changed(Settings.of(config_file.load(self.config or "lenet"), data))

    def _source(self, wanted: Settings, training: bool) -> Run:
        if isinstance(self.load, bool):
            return Run.own(self.log_dir, wanted, self.framework, training)
        return Run.at(Path(self.load))

    def _checkpoint(self, source: Run, wanted: Settings) -> Checkpoint:
        """Read it; UserError if there is none, or if its architecture is not the wanted one."""
        if not source.exists and (near := Run.below(self.log_dir if self.load is True else source.folder)):
            raise UserError(f"there is no checkpoint {source.path}; there is {near.folder}: name it after --load")
        found = source.checkpoint
        expected = wanted if self.config or self.load is True else self._changed(found.settings)
        if other := difference(flat(found.settings.architecture), flat(expected.architecture)):
            raise UserError(f"{source.path}: its architecture is another: {other}; give --config its own config")
        return found

    def _changed(self, settings: Settings) -> Settings:
        return settings.changed(self.changes, seed=self.seed, precision=self.precision)
