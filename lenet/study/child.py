"""One run of a study in a process of its own: python -m lenet.study.child, the task as a line of JSON on stdin."""

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from lenet import api
from lenet.config import read
from lenet.data import load as read_data
from lenet.errors import HeldError, UserError, exit_code
from lenet.settings import Settings
from lenet.storage.checkpoint import Checkpoint
from lenet.study.member import Member
from lenet.study.process import HELD
from lenet.system import interrupt
from lenet.system.streams import prepare_streams


def main(
    settings: dict[str, Any],
    framework: str,
    steps: int,
    log_dir: str,
    data: str | None,
    keep: str,
    save_every: int,
    log: str,
    keras_engine: str,
    image_size: int | tuple[int, int] | None = None,
    **machine: Any,
) -> int:
    """Bring the run to `steps`, from its checkpoint if it has one, and test it; HELD if another process trains it."""
    os.environ["KERAS_BACKEND"] = keras_engine  # of the machine of the report
    wanted = read(Settings, settings)
    dataset = read_data(data, image_size=image_size, log_dir=log_dir)
    if dataset.info != wanted.data:
        raise UserError("the data has changed since the report began; start it again")
    member = Member.of(wanted, framework, Path(log_dir), steps)
    run = member.run
    try:
        held = run.lock()
    except HeldError:
        return HELD
    with held:  # from here on the run stays as it is found
        if not member.is_complete:
            source = run if run.exists else None
            start = source.checkpoint if source else Checkpoint.initial(wanted)
            trainer = api.trainer(start, framework, dataset, **machine)
            run.make_ready(source, start)
            trainer.train(run, steps - start.state.step, save_every, log)
        if keep == "results":
            run.forget()
    return 0


def _stop_with_parent(pipe: int) -> None:
    """Ask this process to save and end when the one that started it has ended: then its pipe ends."""
    os.read(pipe, 1)
    if os.name == "nt":
        signal.raise_signal(signal.SIGTERM)  # os.kill would end it at once
    else:
        os.kill(os.getpid(), signal.SIGTERM)  # this reaches the main thread, too


if __name__ == "__main__":
    prepare_streams()
    task = json.loads(sys.stdin.readline())
    sys.argv = task.pop("command")  # which TensorBoard shows
    interrupt.second = signal.SIG_IGN  # who stops a whole service or job sends two: its own and that of the parent
    pipe = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # on Windows, who looks at a pipe waits for its reader: a library may
    threading.Thread(target=_stop_with_parent, args=(pipe,), daemon=True).start()
    sys.exit(exit_code(lambda: main(**task)))
