"""One run of a study, in a process of its own: python -m lenet.study.child, with the task as JSON on stdin."""

import json
import sys
from pathlib import Path
from typing import Any

from lenet import api
from lenet.config import read
from lenet.data import load as read_data
from lenet.errors import UserError, exit_code
from lenet.settings import Settings
from lenet.storage.checkpoint import Checkpoint
from lenet.study.plan import Member
from lenet.system.streams import prepare_streams


def main(
    settings: dict[str, Any],
    framework: str,
    steps: int,
    log_dir: str,
    data: str | None,
    image_size: int | tuple[int, int] | None = None,
    **machine: Any,
) -> int:
    """Bring the run to `steps`, from its checkpoint if it has one, and test it."""
    wanted = read(Settings, settings)
    dataset = read_data(data, image_size=image_size, log_dir=log_dir)
    if dataset.info != wanted.data:
        raise UserError("the data has changed since the report began; start it again")
    member = Member.of(wanted, framework, Path(log_dir), steps)
    run = member.run
    if not member.is_complete:  # it may have gone on since the report began
        source = run if run.exists else None
        start = source.checkpoint if source else Checkpoint.initial(wanted)
        api.advance(run, source, start, framework, dataset, steps - start.state.step, **machine)
    return 0


if __name__ == "__main__":
    prepare_streams()
    task = json.load(sys.stdin)
    sys.exit(exit_code(lambda: main(**task)))
