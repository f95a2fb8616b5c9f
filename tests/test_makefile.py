"""make: its targets, and what it says before anything is downloaded."""

import os
import shutil
import subprocess
import sys

import pytest
from conftest import PROJECT

sys.path.insert(0, str(PROJECT / "requirements"))
from check import problem


@pytest.fixture
def make(tmp_path):
    """Run make in a copy of the project that has no environment; returns (exit code, stdout, stderr)."""
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt"):
        shutil.copy(PROJECT / name, tmp_path)
    shutil.copytree(PROJECT / "requirements", tmp_path / "requirements")

    # A make that runs the tests must not tell this one that it is its child.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE") and key != "MFLAGS"}

    def run(*words):
        done = subprocess.run(["make", *words], cwd=tmp_path, env=environment, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    return run


def script(path, *lines):
    path.write_text("\n".join(["#!/bin/sh", *lines]) + "\n")
    path.chmod(0o755)
    return path


def test_bare_make_prints_its_targets_and_does_nothing_else(make, tmp_path):
    code, out, err = make()
    assert (code, err) == (0, "")
    assert [line.split()[1] for line in out.splitlines()[:5]] == ["train", "check", "test", "torture", "benchmark"]
    assert not (tmp_path / ".venv").exists()


def test_an_unknown_framework_is_named(make):
    code, out, err = make("train", "FRAMEWORK=torch")
    assert (code, out) == (2, "")
    assert "FRAMEWORK is pytorch, tensorflow, keras or jax, not 'torch'" in err


def test_an_environment_that_is_half_made_is_made_again(make, tmp_path):
    """As on Debian without python3-venv: there is a Python in it, but no pip."""
    half = "mkdir -p .venv/bin && ln -sf /bin/false .venv/bin/python && exit 1"
    broken = script(tmp_path / "broken", f'[ "$1" = -m ] || exec {sys.executable} "$@"', half)
    code, _, _ = make("train", f"PYTHON={broken}")
    assert code == 2
    assert not (tmp_path / ".venv").exists()
    subprocess.run(half, shell=True, cwd=tmp_path)  # the same, left by a make of before
    assert (tmp_path / ".venv/bin/python").exists()
    done = "echo made >&2; mkdir -p .venv/bin; touch .venv/bin/pip; ln -sf /bin/true .venv/bin/python"
    whole = script(tmp_path / "whole", f'[ "$1" = -m ] || exec {sys.executable} "$@"', done)
    code, out, err = make("train", f"PYTHON={whole}")
    assert (code, err) == (0, "made\n")
    assert "-r requirements/pytorch.txt" in out
    code, out, _ = make("train", f"PYTHON={broken}")  # nothing is made or installed twice
    assert code == 0
    assert "pip" not in out


@pytest.mark.parametrize(
    ("framework", "version", "system", "machine", "words"),
    [
        ("pytorch", (3, 10), "Linux", "x86_64", "3.11 or newer is needed, not 3.10"),
        (
            "tensorflow",
            (3, 14),
            "Linux",
            "x86_64",
            "TensorFlow is not made for Python 3.14 yet, only PyTorch and JAX are",
        ),
        ("keras", (3, 14), "Windows", "AMD64", "TensorFlow is not made for Python 3.14 yet, only PyTorch and JAX are"),
        ("jax", (3, 15), "Linux", "x86_64", "no framework is made for Python 3.15 yet"),
        ("pytorch", (3, 12), "Darwin", "x86_64", "an Intel Mac's Python"),
        ("pytorch", (3, 13), "Windows", "ARM64", "install the x64 Python"),
        ("pytorch", (3, 14), "Linux", "x86_64", ""),
        ("tensorflow", (3, 13), "Darwin", "arm64", ""),
        ("keras", (3, 11), "Linux", "aarch64", ""),
    ],
)
def test_a_python_that_cannot_install_a_framework_is_named(framework, version, system, machine, words):
    found = problem(framework, version, system, machine)
    assert words in found
    assert bool(found) == bool(words)


def test_a_python_of_an_environment_that_is_made_is_replaced_by_a_new_environment(monkeypatch):
    monkeypatch.setattr(sys, "prefix", "/home/me/project/.venv")
    assert "remove .venv, then name another Python" in problem("keras", (3, 14), "Linux", "x86_64")


def test_a_python_that_is_too_old_is_told_so_by_make(make, tmp_path):
    old = script(tmp_path / "old", 'echo "too old" >&2', "exit 2")
    code, _, err = make("train", f"PYTHON={old}")
    assert code == 2
    assert err.startswith("too old\n")
    assert not (tmp_path / ".venv").exists()
