"""Plan: which runs a study has, what each of them lacks, and how long and how large that is."""

import itertools
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from lenet.errors import UserError
from lenet.settings import Settings
from lenet.study.member import Member

START_SECONDS = 4  # of a run's process and its framework, roughly
UNITS = ("bytes", "kB", "MB", "GB", "TB")


@dataclass(frozen=True)
class Plan:
    """The runs of a study, each once, and what is done of them; UserError if a folder has another run."""

    members: Sequence[Member]
    log_dir: Path
    varied: tuple[str, ...] = ()  # the keys that a grid has values of
    keep: str = "all"
    save_every: int = 500
    test_images: int = 10_000

    @classmethod
    def of(
        cls, settings: Iterable[Settings], frameworks: Sequence[str], steps: int | None, log_dir: Path, **more: Any
    ) -> Self:
        """Return the plan to train these settings in each framework; `more` are its other fields."""
        pairs = dict.fromkeys(itertools.product(settings, frameworks))  # each once
        return cls([Member.of(each, name, log_dir, steps) for each, name in pairs], log_dir, **more)

    @cached_property
    def done(self) -> dict[Member, tuple[int, bool]]:
        """What is done of each; UserError with the first reason, if a folder has another run."""
        done, reasons = {}, []
        for member in self.members:
            try:
                done[member] = member.look()
            except UserError as error:
                reasons.append(str(error))
        if reasons:
            others = f" (and {len(reasons) - 1} more like it)" if len(reasons) > 1 else ""
            raise UserError(f"{reasons[0]}{others}; choose another --log_dir, or move that run elsewhere")
        return done

    @property
    def lacking(self) -> list[Member]:
        """The runs that lack something."""
        return [member for member, (_, is_complete) in self.done.items() if not is_complete]

    def bytes(self, jobs: int) -> int:
        """Return how much of the disk the runs that lack something take, at most; `jobs` are trained at once."""
        checkpoints = sorted((member.checkpoint_bytes for member in self.lacking), reverse=True)
        others = sum(member.other_bytes(self.test_images) for member in self.lacking)
        if self.keep == "results":
            return others + 3 * sum(checkpoints[:jobs])  # the last, the best, and one that is being written
        stay = (2 if member.steps > self.save_every else 1 for member in self.lacking)
        return (
            others
            + sum(checkpoints[:jobs])
            + sum(n * m.checkpoint_bytes for n, m in zip(stay, self.lacking, strict=True))
        )

    @property
    def free_bytes(self) -> int:
        """How much of the disk is free."""
        folder = next(path for path in (self.log_dir.absolute(), *self.log_dir.absolute().parents) if path.exists())
        return shutil.disk_usage(folder).free

    def require_disk(self, jobs: int) -> None:
        """Raise UserError if the runs do not fit on the disk."""
        if (needed := self.bytes(jobs)) > (free := self.free_bytes):
            advice = "choose another --log_dir" + (", or --keep results" if self.keep == "all" else "")
            raise UserError(f"the runs take up to {size(needed)} in {self.log_dir}, {size(free)} are free; {advice}")

    def seconds(self) -> float | None:
        """Return how long the runs that lack something take, one after the other; None if nothing says so.

        By the speed of those that are trained: of the same variant in the same framework, or else of the framework,
        or else of all, in proportion to the arithmetic.
        """
        speeds: dict[tuple[str, ...], tuple[float, int]] = {}
        for member, (_, is_complete) in self.done.items():
            if is_complete and (took := _seconds(member)):
                for key in _kinds(member):
                    seconds, multiply_adds = speeds.get(key, (0.0, 0))
                    speeds[key] = seconds + took, multiply_adds + member.multiply_adds
        total = 0.0
        for member in self.lacking:
            known = next((speeds[key] for key in _kinds(member) if key in speeds), None)
            if known is None:
                return None
            left = 1 - self.done[member][0] / member.steps
            total += START_SECONDS + left * member.multiply_adds * known[0] / known[1]
        return total

    def text(self, jobs: int) -> str:
        """Return a line a run, and then how many there are, how long they take and how large they are."""
        lines = []
        for member, (step, is_complete) in self.done.items():
            state = "done" if is_complete else f"{step:,} of {member.steps:,} steps"
            lines.append(f"{member}: {state}")
        variants = len({member.settings.variant for member in self.members})
        lines.append("")
        lines.append(f"{len(self.members):,} runs of {variants:,} variants; {len(self.lacking):,} are not finished.")
        if self.lacking:
            seconds = self.seconds()
            known = f"about {duration(seconds / max(1, jobs))}, estimated from the finished runs" if seconds else ""
            lines.append(f"Time, {jobs} at once: {known or 'unknown until one run is finished'}.")
            lines.append(f"Disk: up to {size(self.bytes(jobs))} in {self.log_dir}; {size(self.free_bytes)} are free.")
        return "\n".join(lines)


def _kinds(member: Member) -> list[tuple[str, ...]]:
    """What a run is like, the nearest first."""
    return [(member.settings.variant, member.framework), (member.framework,), ()]


def _seconds(member: Member) -> float:
    """How long all its steps took, with their tests, by the speed of the last part of the run; 0 if it has none."""
    result = member.run.result
    if not (speed := result["images_per_second"]):
        return 0.0
    seconds = member.steps * member.settings.training.batch_size / speed
    return float(seconds * (1 + result.get("evaluation_seconds", 0) / result["seconds"]))


def size(count: float) -> str:
    """Return a number of bytes as one reads it: 95 GB."""
    power = 0
    while count >= 999.5 and power < len(UNITS) - 1:
        count, power = count / 1000, power + 1
    return f"{count:.3g} {UNITS[power]}"


def duration(seconds: float) -> str:
    """Return a time as one says it: 3 h 20 min."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
