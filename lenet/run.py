"""Where a run lies and how its folder is made ready."""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from lenet import UserError


@dataclass(frozen=True)
class Run:
    """One config, framework and seed: <log_dir>/<config>/<framework>/seed-<seed>/."""

    CHECKPOINT: ClassVar[str] = "checkpoint.safetensors"

    log_dir: Path
    config: str
    framework: str
    seed: int

    @property
    def folder(self) -> Path:
        """Holds train/ and test/ (TensorBoard), checkpoint.safetensors, config.toml and result.json."""
        return self.log_dir / self.config / self.framework / f"seed-{self.seed}"

    @property
    def checkpoint(self) -> Path:
        """The file that --load continues from."""
        return self.folder / self.CHECKPOINT

    def start(self, continued: bool) -> Path | None:
        """Make the folder ready. An earlier run that is not continued is moved aside, to the path returned."""
        try:
            aside = None if continued else self._move_aside()
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot write to the log folder: {error}; choose another with --log_dir") from None
        return aside

    def _move_aside(self) -> Path | None:
        if not self.folder.exists():
            return None
        names = (self.folder.with_name(f"{self.folder.name}.{number}") for number in itertools.count(1))
        return self.folder.rename(next(name for name in names if not name.exists()))
