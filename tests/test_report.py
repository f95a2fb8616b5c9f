"""--report: what it says of the runs, and how it fails."""

import fcntl
import json
import re
import statistics
import time

import jobs
import pytest


def test_a_run_that_fails_is_named_and_the_others_go_on(report, tmp_path):
    # Keras on PyTorch refuses float64, PyTorch itself does not.
    flags = ("--config", "lenet5", "--framework", "keras", "--framework", "pytorch", "--seeds", 1)
    process = report(*flags, "--precision", "float64", KERAS_BACKEND="torch")
    out, err = process.communicate()
    assert process.returncode == 1
    done, failed = err.splitlines()
    assert re.fullmatch(r"lenet5,\S* pytorch seed 0: test accuracy [\d.]+ %, run [12] of 2", done)
    assert re.match(r"lenet: notice: lenet5,\S* keras seed 0 failed: Keras on torch rounds float64 to", failed)
    assert out == f"{tmp_path / 'report/report.html'}\n"
    assert not [*tmp_path.glob("*/keras/seed-0")]
    text = (tmp_path / "report/report.md").read_text()
    assert re.search(r"^1 run failed and is left out: lenet5,\S* keras seed 0\. ", text, re.M)


@pytest.mark.usefixtures("trained_run")
def test_a_report_that_cannot_be_written_says_so_in_one_line(report, tmp_path):
    flags = ("--config", "lenet5", "--framework", "pytorch", "--seeds", 1)
    report(*flags).communicate()
    (tmp_path / "report/overview.svg").unlink()
    (tmp_path / "report/overview.svg").mkdir()  # in the place of a picture
    process = report(*flags)
    out, err = process.communicate()
    assert (process.returncode, out, err.count("\n")) == (1, "", 1)
    assert f"{tmp_path / 'report'} cannot be written: " in err


@pytest.mark.usefixtures("trained_run")
def test_one_report_at_a_time_is_written(report, tmp_path):
    process = report("--config", "lenet5", "--framework", "pytorch", "--seeds", 1)
    while not (tmp_path / "report/overview.svg").exists():  # its first picture
        assert process.poll() is None
        time.sleep(0.02)
    with (tmp_path / "report.lock").open() as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    process.communicate()
    assert process.returncode == 0


def test_the_report_says_what_the_runs_came_to(report, tmp_path):
    flags = ("--config", "lenet5", "--config", "change_fc_size", "--framework", "pytorch", "--seeds", 2)
    flags += ("--device", "cpu")
    _, err = report(*flags).communicate()
    text, page = ((tmp_path / f"report/report.{kind}").read_text() for kind in ("md", "html"))
    parameters = {"lenet5": "61,706", "change_fc_size": "454,922"}
    for config in parameters:
        (runs,) = tmp_path.glob(f"{config},*/pytorch")
        results = [json.loads((runs / f"seed-{i}/result.json").read_text()) for i in range(2)]
        accuracies = [100 * result["test_accuracy"] for result in results]
        for i, accuracy in enumerate(accuracies):
            assert re.search(
                rf"^{config},\S* pytorch seed {i}: test accuracy {accuracy:.2f} %, run \d of 4$", err, re.M
            )
        results_part = text.partition("## Frameworks")[0]
        (row,) = (line for line in results_part.splitlines() if line.startswith(f"| [{config},"))
        deviation = statistics.stdev(accuracies)
        margin = f" ± {12.7062 * deviation / 2**0.5:.2f}" if deviation else ""  # t with one degree of freedom
        validated = 100 * statistics.mean(result["validation_accuracy"] for result in results)
        expected = f"| {parameters[config]} | {validated:.2f} | {statistics.mean(accuracies):.2f}{margin} |"
        assert expected in row
        (row,) = (line for line in text.partition("## Frameworks")[2].splitlines() if line.startswith(f"| [{config},"))
        assert f"| {statistics.mean(result['images_per_second'] for result in results):,.0f} |" in row
    assert "<p>The dense layer 128 in place of 1024.</p>" in text
    assert "2017" not in text.partition("## Frameworks")[0]  # other data, steps and batches than the 2017 report's
    assert text.startswith("# LeNet on small_data0~")
    words = " ".join(text.split())
    assert "computed by pytorch on cpu in float32; threads a run: " in words
    # The page needs no other file, and says the same.
    assert set(re.findall(r'(?:src|srcset)="(.{5})', page)) == {"data:"}
    anchors = ["results", "frameworks", "config-1", "config-2", "made"]
    assert re.findall(r'<div id="([^"]+)"', page) == anchors
    assert set(re.findall(r'href="#([^"]+)"', page)) == {*anchors}
    assert "<title>LeNet on small_data0~" in page
    names = set(re.findall(r'src="([^"]+)"', text))
    assert names == {path.name for path in (tmp_path / "report").glob("*.svg")}
    kinds = ("architecture", "accuracy", "cross_entropy", "kernels", "confusion", "mistakes")
    variants = [path.parents[1].name for path in tmp_path.glob("*/pytorch/seed-0")]
    pictures = ["overview", "comparison", *(f"{variant}-{kind}" for variant in variants for kind in kinds)]
    assert names == {f"{picture}.svg" for picture in pictures}
    for name in names:
        assert "</svg>" in (tmp_path / "report" / name).read_text()


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--report"], "the number of steps is missing; add --train_num N"),
        (["--report", "--train_num", "5", "--train"], "--report trains and tests by itself"),
        (["--report", "--train_num", "5", "--load"], "--report trains and tests by itself"),
        (["--report", "--train_num", "5", "--seed", "1"], "--report trains and tests by itself"),
        (["--train", "--train_num", "5", "--seeds", "2"], "--seeds needs --report"),
        (
            ["--train", "--train_num", "5", "--config", "lenet", "--config", "lenet5"],
            "only --report takes several --config or --framework",
        ),
        (["--report", "--train_num", "5", "--seeds", "0"], "'0' is not a whole number from 1"),
        (["--report", "--train_num", "5", "--config", "lenet-5"], "did you mean lenet5?"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(flags, complaint, tmp_path):
    code, out, err = jobs.command_line([*flags, "--log_dir", str(tmp_path / "logs")])
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert complaint in err
    assert not (tmp_path / "logs").exists()
