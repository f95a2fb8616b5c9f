"""pip install -e . and then lenet from another folder."""

import re
import shutil
import subprocess
import sys
import textwrap

import pytest
from conftest import PROJECT

CODE = """
import site, sys
site.addsitedir(sys.argv[1])
import lenet
run = lenet.train("lenet5", framework="pytorch", steps=2, data=sys.argv[2])
print(run.result["step"], run.folder)
"""


@pytest.mark.framework
def test_an_editable_installation_is_imported_from_another_folder(small_data, tmp_path):
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--prefix", tmp_path / "prefix", "--editable", PROJECT], check=True, capture_output=True)
    (packages,) = (tmp_path / "prefix").rglob("site-packages")
    command = [sys.executable, "-c", CODE, packages, small_data]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    step, folder = done.stdout.split()
    assert step == "2"
    assert (tmp_path / folder / "result.json").exists()


@pytest.mark.framework
def test_the_first_lines_of_the_readme_install_and_train(repeats, tmp_path):
    if not repeats(False, True):
        pytest.skip("in make torture")
    shutil.copytree(PROJECT, tmp_path / "lenet", ignore=shutil.ignore_patterns(".venv", ".git", "logs"))
    first = re.search(r"(?m)(^    .*\n)+", (PROJECT / "README.md").read_text())[0]
    done = subprocess.run(
        ["bash", "-ec", textwrap.dedent(first)], cwd=tmp_path / "lenet", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "lenet pytorch seed 0 step 1000: test accuracy 97." in done.stdout
