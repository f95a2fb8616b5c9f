"""Selection: which run the arguments of the API name, and the checkpoint that it goes on from."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property
from pathlib import Path
from typing import Any

from lenet import config as config_file
from lenet.dataset import MNIST, DatasetInfo
from lenet.errors import UserError, notice
from lenet.settings import Settings, difference, flat
from lenet.storage.checkpoint import Checkpoint
from lenet.storage.run import CHECKPOINT, AnyPath, Run
from lenet.system.streams import command_line


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
    validation: int | None

    @cached_property
    def named(self) -> Checkpoint | None:
        """The checkpoint whose path is given; None if none is, UserError if it is not whole."""
        if isinstance(self.load, bool):
            return None
        return self._checkpoint(Run.at(Path(self.load)))

    @property
    def known(self) -> DatasetInfo | None:
        """The data that the named run was trained on."""
        return self.named.settings.data if self.named else None

    def start(self, data: DatasetInfo, training: bool) -> tuple[Run | None, Checkpoint]:
        """Return the run to go on from, None for step 0, and the checkpoint with the settings from now on.

        A notice if the run was trained on other data than these; UserError if these are of another shape, or if a run
        that is only tested has other settings.
        """
        if self.load is False:
            return None, Checkpoint.initial(self._wanted(data))
        source = self._source(data, training)
        if self.load is True and training and not source.exists:
            notice(f"there is no run to continue in {source.folder}; training starts at step 0")
            return None, Checkpoint.initial(self._wanted(data))
        found = self._found(source)
        settings = self._changed(self._on(data, found.settings, source, training))
        if not training:  # in another precision a run may be tested
            require_same(source, found.settings, dataclasses.replace(settings, precision=found.settings.precision))
        held_out = found.settings.data == settings.data and found.settings.validation == settings.validation
        return source, dataclasses.replace(found, settings=settings, best=found.best if held_out else None)

    def run(self, data: DatasetInfo) -> Run:
        """Return the run as it is; UserError if it has no whole checkpoint, or if a flag differs from its settings."""
        source = self._source(data, training=False)
        settings = self._found(source).settings
        require_same(source, settings, self._changed(settings))
        return source

    def _wanted(self, data: DatasetInfo) -> Settings:
        return Settings.of(config_file.load(self.config or "lenet"), data, self.changes, **self._given)

    def _source(self, data: DatasetInfo, training: bool) -> Run:
        if isinstance(self.load, bool):
            return self._own(self._wanted(data), training)
        return Run.at(Path(self.load))

    def _own(self, settings: Settings, training: bool) -> Run:
        """Return the first that exists: the run of these settings; to train on, the config's own; each on MNIST too."""
        wanted, data = [settings], settings.data
        if training and settings.config.architecture == settings.architecture:
            wanted.append(Settings.of(settings.config, data, seed=settings.seed))
        like_mnist = data.size == MNIST.size and len(data.classes) == len(MNIST.classes)
        known = (data, MNIST) if like_mnist else (data,)
        runs = [Run.of(self.log_dir, each.on(data), self.framework) for each in wanted for data in known]
        return next((run for run in runs if run.exists), runs[0])

    def _found(self, source: Run) -> Checkpoint:
        """Return a run's checkpoint; UserError if there is none, or if its architecture is not the wanted one."""
        found = self.named or self._checkpoint(source)
        by_name = self.config or self.load is True
        expected = self._wanted(found.settings.data) if by_name else self._changed(found.settings)
        if other := difference(flat(found.settings.architecture), flat(expected.architecture)):
            text = f"its architecture differs: {other}; remove the --config or --set that says otherwise"
            raise UserError(f"{source.path}: {text}")
        if self.named and self.config and (own := config_file.load(self.config)) != found.settings.config:
            text = f"its config is {found.settings.config.name}, not {own.name}; remove --config; --set changes a key"
            raise UserError(f"{source.path}: {text}")
        return found

    def _checkpoint(self, source: Run) -> Checkpoint:
        folder = self.log_dir if self.load is True else source.folder
        if not source.exists and (near := nearest(source.path, folder)):
            raise UserError(f"there is no checkpoint {source.path}; did you mean --load {command_line(near.folder)}?")
        return source.checkpoint

    def _on(self, data: DatasetInfo, settings: Settings, source: Run, training: bool) -> Settings:
        """Return a run's settings on the data from now on; a notice, or UserError, if it had other data."""
        known = settings.data
        found, wanted = (f"{each.size} in {len(each.classes)} classes" for each in (known, data))
        if found != wanted:
            text = f"{source.path}: trained on {known.name}, images of {found}, but {data.name} has {wanted}"
            raise UserError(f"{text}; use --data with the data that it was trained on")
        if known.classes != data.classes and known.is_named == data.is_named:
            ours, theirs = next(pair for pair in zip(known.classes, data.classes, strict=True) if pair[0] != pair[1])
            text = f"its class is {ours!r} where {data.name} has {theirs!r}; use data with the same classes"
            raise UserError(f"{source.path}: {text}")
        part = "training_sha256" if training or not known.test_sha256 else "test_sha256"
        pair = getattr(known, part), getattr(data, part)
        same = "" in pair or pair[0] == pair[1]  # a test alone may not know
        if not same:
            notice(f"{source.path} was trained on other data: {known.name}, not {data.name}")
        if not training:
            return settings
        return dataclasses.replace(settings, data=data) if same else settings.on(data)

    def _changed(self, settings: Settings) -> Settings:
        return settings.changed(self.changes, **self._given)

    @property
    def _given(self) -> dict[str, Any]:
        return {"seed": self.seed, "precision": self.precision, "validation": self.validation}


def require_same(source: Run, found: Settings, wanted: Settings) -> None:
    """Raise UserError if the arguments want other settings than a run has."""
    if other := found.difference(wanted):
        raise UserError(f"{source.path}: {other}; remove the flag that says otherwise")


def nearest(wanted: Path, folder: Path) -> Run | None:
    """Return the run below a folder whose path is most like the wanted one, if there is any."""
    try:
        paths = [path for depth in range(1, 4) for path in sorted(folder.glob(f"{'*/' * depth}{CHECKPOINT}"))]
    except OSError:  # it may not be looked at
        return None
    like = SequenceMatcher(b=str(wanted), autojunk=False)

    def similarity(path: Path) -> float:
        like.set_seq1(str(path))
        return like.ratio()

    path = max(paths, key=similarity, default=None)
    return Run(path) if path else None
