"""What the tests of disturbed runs share."""

import json
import subprocess
import sys
import time

from lenet.storage.checkpoint import Checkpoint

CONFIG = "lenet5"  # small, so that most of the time is not a framework's


def start(*command):
    """Start Python."""
    return subprocess.Popen(
        [sys.executable, *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def tensors(run):
    state = Checkpoint.load(run / "checkpoint.safetensors").state
    return state.step, [(name, array.tobytes()) for arrays in state.arrays for name, array in arrays.items()]


def step_of(log_dir):
    """The step of the only checkpoint in a log folder, 0 if there is none; it must load."""
    paths = [*log_dir.glob("*/*/seed-0/checkpoint.safetensors")]
    return Checkpoint.load(*paths).state.step if paths else 0


def result_of(run):
    """The result of a run, without its speed, which differs from run to run."""
    result = json.loads((run / "result.json").read_text())
    return {key: value for key, value in result.items() if not key.endswith(("seconds", "per_second"))}


def wait_for(log_dir, pattern, process):
    """Wait until a file of the run is written, the process has ended, or a minute has passed."""
    began = time.time()
    while not any(path.stat().st_mtime > began for path in log_dir.glob(f"*/*/seed-0/{pattern}")):
        if process.poll() is not None or time.time() > began + 60:
            break
        time.sleep(0.02)


def go_on(log_dir, steps):
    """The flags that train the missing ones of `steps`."""
    done = step_of(log_dir)
    return ["--train", "--train_num", steps - done, *(["--load"] if done else [])]
