"""What a user's computer may lack: locks, folders that sync, Windows' functions, streams, memory, a home."""

import contextlib
import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import FRAMEWORKS, PROJECT, run_folder

import backends
from lenet.errors import UserError
from lenet.storage.checkpoint import Checkpoint
from lenet.system import files as system_files
from lenet.system import machine
from lenet.system.streams import command_line

pytestmark = pytest.mark.framework

# Each is a program that changes the system and then is main.py.
MAIN = "import sys; sys.path.insert(0, {project!r}); {change}; import main; sys.exit(main.main(sys.argv[1:]))"
FAIL = "def fail(number, *_): raise OSError(number, os.strerror(number))"
LOCKS = f"""import errno, os, lenet.system.files as files
{FAIL}
files.lock_descriptor = lambda *_, **__: fail(errno.{{}})
0"""
FOLDERS = f"""import os, stat
{FAIL}
fsync = os.fsync
os.fsync = lambda file: fail({{}}) if stat.S_ISDIR(os.fstat(file).st_mode) else fsync(file)
0"""
# rclone's default mount: a file is written once, from its beginning to its end.
ONCE = f"""import errno, os, pathlib
{FAIL}
path_open = pathlib.Path.open
def checked_open(path, mode="r", *more, **keywords):
    if set("a+") & set(mode) and str(path) != os.devnull: fail(errno.EPERM)
    return path_open(path, mode, *more, **keywords)
pathlib.Path.open = checked_open
0"""
# PyTorch is imported before: it has a version for Windows of its own.
WINDOWS = "import torch, os, signal, warnings; sys.modules['fcntl'] = None; del signal.SIGHUP, os.O_DIRECTORY; "
WINDOWS += "warnings.simplefilter('ignore')"  # filelock warns, which has locks on Windows


def python(change, *flags):
    """The command that changes the system and then is main.py."""
    return [sys.executable, "-c", MAIN.format(project=str(PROJECT), change=change), *flags]


@pytest.fixture
def flags(small_data, tmp_path):
    """The flags of a short run."""
    flags = ["--train", "--train_num", "3", "--config", "lenet5", "--framework", "pytorch", "--batch_size", "20"]
    return [*flags, "--data_dir", str(small_data), "--log_dir", str(tmp_path / "logs")]


def run(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("change", "notices"),
    [
        (LOCKS.format("ENOLCK"), ["has no locks"]),
        (LOCKS.format("ENOSYS"), ["has no locks"]),
        (FOLDERS.format(22), ["cannot sync folders"]),
        (ONCE, ["has no locks"]),
        (WINDOWS, ["has no locks"]),
    ],
    ids=["no locks", "no function for locks", "folders that do not sync", "only written once", "Windows"],
)
def test_a_system_that_lacks_something_gets_a_notice_and_trains(flags, change, notices, tmp_path):
    for more in ((), ("--load",)):
        code, out, err = run(python(change, *flags, *more))
        assert (code, out.count("\n"), err.count("\n")) == (0, 1, len(notices)), err
        assert err.startswith("lenet: notice: ")
        assert all(words in err for words in notices)
    assert Checkpoint.load(run_folder(tmp_path / "logs", "pytorch") / "checkpoint.safetensors").state.step == 6


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_a_run_without_streams_trains_and_saves(flags, closed, tmp_path):
    code, _, err = run(["sh", "-c", f'exec "$0" "$@" {closed}', sys.executable, str(PROJECT / "main.py"), *flags])
    assert (code, err) == (0, "")
    folder = run_folder(tmp_path / "logs", "pytorch")
    assert json.loads((folder / "result.json").read_text())["step"] == 3


def test_without_a_terminal_a_line_a_minute_says_how_far_it_is(flags):
    code, out, err = run(python("import lenet.system.progress as progress; progress.LINE_SECONDS = 0", *flags))
    assert (code, out.count("\n")) == (0, 1)
    assert re.match(r"step 1 of 3, batch accuracy 0\.\d\d, after 0 min\n", err)
    assert re.search(r"\nstep 3 of 3, batch accuracy 0\.\d\d, after 0 min\n$", err)


def test_a_name_that_the_terminal_cannot_show_is_escaped(flags, tmp_path):
    log_dir = tmp_path / "é"
    words = [sys.executable, str(PROJECT / "main.py"), *flags, "--log_dir", str(log_dir)]
    code, out, err = run(words, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (code, err) == (0, "")
    assert f"{tmp_path}/\\xe9/lenet5" in out
    assert run_folder(log_dir, "pytorch")


def test_a_home_in_a_path_is_expanded(flags, tmp_path):
    code, out, _ = run(python("0", *flags, "--log_dir=~/mine"), env={**os.environ, "HOME": str(tmp_path)}, cwd=tmp_path)
    assert code == 0
    assert f" {tmp_path}/mine/lenet5" in out
    assert not (tmp_path / "~").exists()


def with_memory(megabytes, framework, *flags):
    """Train with no more memory than a framework has taken once it is imported, and this."""
    limit = f"""import backends, resource
backends.load({framework!r})
used = next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmSize'))
resource.setrlimit(resource.RLIMIT_AS, 2 * [used * 1024 + ({megabytes} << 20)])
0"""
    return run(python(limit, "--train", "--train_num", "3", "--framework", framework, "--device", "cpu", *flags))


# With less, TensorFlow ends in its own code, which cannot be caught.
@pytest.mark.parametrize(("framework", "megabytes"), [("pytorch", 2 << 10), ("keras", 8 << 10)])
def test_a_batch_that_is_larger_than_the_memory_is_named(framework, megabytes, tmp_path, repeats):
    if repeats(framework == "keras", False):
        pytest.skip("in make torture")
    code, out, err = with_memory(megabytes, framework, "--batch_size", "55000", "--log_dir", str(tmp_path))
    assert (code, out) == (1, ""), err
    assert "not enough memory for 55000 images at once; choose a smaller --batch_size" in err
    assert err.count("\n") == 1


# With the first there is no room for the initial parameters, with the second there is, but not to train.
@pytest.mark.parametrize("megabytes", [300, 900])
def test_a_network_that_is_larger_than_the_memory_is_told_in_one_line(megabytes, tmp_path):
    code, out, err = with_memory(megabytes, "pytorch", "--set", "dense=[8000]", "--log_dir", str(tmp_path))
    assert (code, out) == (1, ""), err
    assert "not enough memory" in err
    assert err.count("\n") == 1


@pytest.mark.skipif("tensorflow" not in FRAMEWORKS, reason="TensorFlow is not installed")
def test_a_processor_without_avx_is_told_so_before_tensorflow_ends_the_process(monkeypatch, tmp_path):
    (path := tmp_path / "cpuinfo").write_text("model name : Old\nflags : fpu sse4_2 avx\n")
    monkeypatch.setattr(machine, "CPU_INFO", path)
    backends.require("tensorflow")
    path.write_text("model name : Old\nflags : fpu sse4_2\n")
    with pytest.raises(UserError, match="TensorFlow needs a processor with AVX"):
        backends.require("tensorflow")
    path.write_text("processor : 0\nFeatures : fp asimd\n")  # Arm
    backends.require("tensorflow")


def test_where_a_library_of_windows_is_missing_it_is_named(monkeypatch):
    def fail(_):
        raise OSError('[WinError 126] The specified module could not be found. Error loading "c10.dll"')

    monkeypatch.setattr(backends.importlib, "import_module", fail)
    with pytest.raises(UserError, match=r"c10.dll.*install https://aka.ms/vs/17/release/vc_redist.x64.exe; if"):
        backends.load(FRAMEWORKS[0])


def test_windows_shells_read_a_path_as_one_word(monkeypatch):
    with monkeypatch.context() as change:
        change.setattr(os, "name", "nt")
        line = command_line(r"C:\my logs\lenet,dense=[84]\seed-0", r"logs\lenet\seed-0")
    assert line == r'"C:\my logs\lenet,dense=[84]\seed-0" logs\lenet\seed-0'


@pytest.mark.parametrize("failures", [2, 9])
def test_a_file_that_another_program_has_open_is_replaced_a_little_later(failures, monkeypatch, tmp_path):
    replace, left = Path.replace, iter(range(failures))

    def refuse(source, target):
        if next(left, None) is not None:
            raise PermissionError(errno.EACCES, "Access is denied")
        return replace(source, target)

    monkeypatch.setattr(system_files, "WAIT_SECONDS", (0, 0, 0))
    monkeypatch.setattr(Path, "replace", refuse)
    (path := tmp_path / "result.json").write_text("old")
    told = pytest.raises(UserError, match="Access is denied, perhaps because another program has it open")
    with told if failures > 3 else contextlib.nullcontext(), system_files.replacing(path) as temporary:
        temporary.write_text("new")
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {path.name: "old" if failures > 3 else "new"}


@pytest.mark.parametrize("package", ["tensorflow", "matplotlib"])
def test_a_system_without_a_folder_for_temporary_files_is_told_so_in_one_line(package, flags, tmp_path):
    change = "import os, tempfile; tempfile._candidate_tempdir_list = lambda: ['/proc']"
    what = ["--report", "--seeds", "1"] if package == "matplotlib" else ["--train"]
    name = "pytorch" if package == "matplotlib" else package
    flags = [*what, *flags[1:5], "--framework", name, *flags[7:]]
    environment = {**os.environ, "HOME": "/proc"}
    code, out, err = run(python(change, *flags), env=environment)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert err.startswith(f"main.py: {package} cannot be imported: ")
    assert (err.count("cannot be imported"), "install it again" in err) == (1, False)
    assert "set the environment variable TMPDIR to a folder that can be written" in err
    assert not (tmp_path / "logs").exists()
    code, out, err = run(python("0", *flags), env=environment | {"TMPDIR": str(tmp_path)})
    assert (code, out.count("\n")) == (0, 1), err
    assert re.fullmatch(r"(lenet5,\S* pytorch seed \d: test accuracy .*\n)*", err)


def test_the_first_process_of_a_container_hears_sigterm_from_the_first_moment(flags):
    slow = "import signal, time, backends; backends.load = lambda name: (print('ready', flush=True), time.sleep(60))"
    words = ["unshare", "--pid", "--fork", "--kill-child", *python(slow, *flags)]
    if subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True).returncode:
        pytest.skip("no namespace can be made here")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as outer:
        assert outer.stdout.readline() == "ready\n"
        (child,) = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
        os.kill(int(child), signal.SIGTERM)
        started = time.monotonic()
        _, err = outer.communicate()
    assert (outer.returncode, err) == (143, "main.py: stopped by SIGTERM\n")
    assert time.monotonic() - started < 5
