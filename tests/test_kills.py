"""Killed at any moment, nothing is lost. make torture: at length."""

import collections
import itertools
import random
import shutil
import signal
import time

import jobs
import pytest
from conftest import PROJECT, run_folder
from disturbed import go_on, result_of, start, step_of, tensors, wait_for
from sabotage import OPERATIONS

pytestmark = pytest.mark.one_framework  # it is the core that is tested


def test_killed_at_any_moment_nothing_is_lost(framework, flags, reader, repeats, tmp_path):
    steps, kills, kills_a_run = 120, repeats(1, 100), repeats(1, 5)
    code, _, err = framework.do(jobs.command_line, flags(tmp_path / "whole", "--train", "--train_num", steps))
    assert code == 0, err
    whole = run_folder(tmp_path / "whole", framework.name)
    generator = random.Random(4)  # its first kill comes half-way through the second save
    counts = collections.Counter()
    for i in itertools.takewhile(lambda _: counts["killed"] < kills, itertools.count()):
        log_dir = tmp_path / str(i)
        for kill in range(kills_a_run):
            if step_of(log_dir) >= steps - 20:
                break
            command = flags(log_dir, *go_on(log_dir, steps), "--save_every", 10)
            if kill % 2 == 0:  # in a save
                operation, save = generator.choice(OPERATIONS), generator.randint(1, 2)
                process = start(PROJECT / "tests/sabotage.py", operation, "KILL", save, *command)
                process.communicate()
            else:
                process = start(PROJECT / "main.py", *command)
                # After a first save, or among the first steps.
                wait_for(log_dir, "checkpoint.safetensors" if kill % 4 == 1 else "train/*", process)
                time.sleep(generator.uniform(0, 0.3))
                process.kill()
                process.communicate()
            killed = process.returncode == -signal.SIGKILL
            counts["killed"] += killed
            counts["in a save"] += killed and kill % 2 == 0
            counts["with a checkpoint"] += killed and step_of(log_dir) > 0
        if i % 2 == 0:  # after the last step
            command = flags(log_dir, *go_on(log_dir, steps))
            process = start(PROJECT / "tests/sabotage.py", generator.choice(["test", "result"]), "KILL", 0, *command)
            process.communicate()
            assert process.returncode == -signal.SIGKILL
            counts["after the last save, too"] += 1
        process = start(PROJECT / "main.py", *flags(log_dir, *go_on(log_dir, steps)))
        _, err = process.communicate()
        assert (process.returncode, err) == (0, ""), err
        run = run_folder(log_dir, framework.name)
        assert tensors(run) == tensors(whole)
        curves, expected = (
            {part: reader.do(jobs.read_curve, folder / part) for part in ("train", "test")} for folder in (run, whole)
        )
        for of_run in (curves, expected):
            del of_run["train"]["images_per_second"]
        assert curves == expected
        assert [step for step, _ in curves["train"]["accuracy"]] == list(range(1, steps + 1))
        assert [step for step, _ in curves["test"]["accuracy"]] == list(range(10, steps + 1, 10))
        assert result_of(run) == result_of(whole)
        assert not list(log_dir.rglob("*.tmp"))
        shutil.rmtree(log_dir)
    print(framework.name, dict(counts))
    assert counts["in a save"] >= kills / 4
