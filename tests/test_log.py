"""What TensorBoard shows of a run, asked of TensorBoard itself with both of its readers."""

import contextlib
import html
import io
import json
import time
import urllib.parse
import urllib.request

import numpy as np
import pytest
from conftest import run_folder
from PIL import Image
from test_tensorboard_live import SECONDS, tensorboard

import lenet
from lenet import metrics
from lenet.data import load as read_data
from lenet.log import summaries
from lenet.settings import to_text
from lenet.storage.curves import event_files

STEPS, SAVE_EVERY = 40, 20


@pytest.fixture(scope="module")
def run(workers, tmp_path_factory):
    """A run of lenet5 with everything logged, saved twice; its log folder has nothing else."""
    log_dir = tmp_path_factory.mktemp("logs")
    return trained(workers, STEPS, log_dir)


@pytest.fixture(scope="module")
def before(workers, tmp_path_factory):
    """The same run one step earlier."""
    return trained(workers, STEPS - 1, tmp_path_factory.mktemp("before"))


def trained(workers, steps, log_dir):
    flags = ("--train", "--train_num", steps, "--save_every", SAVE_EVERY, "--config", "lenet5", "--log_dir", log_dir)
    code, _, err = workers["pytorch"].run(*flags, "--precision", "float64")  # small updates are not rounded away
    assert code == 0, err
    return lenet.load(run_folder(log_dir, "pytorch"))


@pytest.fixture(scope="module", params=["true", "false"], ids=["fast", "slow"])
def ask(request, run):
    """A function: a path of TensorBoard's API, without /data/, and its parameters -> what it says."""
    log_dir = run.folder.parents[2]
    with tensorboard(log_dir, request.param) as address:

        def get(path, **parameters):
            with urllib.request.urlopen(f"{address}/data/{path}?{urllib.parse.urlencode(parameters)}") as answer:
                content = answer.read()
                return json.loads(content) if "json" in answer.headers["Content-Type"] else content

        deadline = time.monotonic() + SECONDS
        while not is_shown(get, run):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield get


def is_shown(get, run):
    """Whether TensorBoard has read all of a run: what is written last is in each of its files."""
    with contextlib.suppress(urllib.error.HTTPError):
        tags = get("plugin/scalars/tags")
        last = {f"{own(run)}/{part}": "accuracy" for part in ("train", "test", "validation")} | {
            own(run): "test_accuracy"
        }
        if not all(tag in tags.get(name, {}) for name, tag in last.items()):
            return False
        points = get("plugin/scalars/scalars", run=f"{own(run)}/test", tag="accuracy")
        return points[-1][1] == STEPS and session(get)["status"] == "STATUS_SUCCESS"
    return False


def session(get):
    """The only session, as HPARAMS has it."""
    statuses = ["STATUS_SUCCESS", "STATUS_UNKNOWN", "STATUS_FAILURE", "STATUS_RUNNING"]
    question = {"allowedStatuses": statuses, "startIndex": 0, "sliceSize": 9, "includeMetrics": True}
    (group,) = get("plugin/hparams/session_groups", request=json.dumps(question))["sessionGroups"]
    (found,) = group["sessions"]
    return found | {"hparams": group["hparams"], "metrics": group["metricValues"]}


def own(run):
    """The name that TensorBoard gives the run's own folder."""
    return str(run.folder.relative_to(run.folder.parents[2]))


def test_the_curves_are_there_with_their_descriptions(ask, run):
    tags = ask("plugin/scalars/tags")
    wanted = {part: {"cross_entropy", "accuracy"} for part in ("train", "test", "validation")}
    wanted["train"] |= {"learning_rate", "images_per_second"}
    for part, names in wanted.items():
        found = tags[f"{own(run)}/{part}"]
        assert found.keys() == names
        assert all(content["description"] for content in found.values())
    rates = ask("plugin/scalars/scalars", run=f"{own(run)}/train", tag="learning_rate")
    assert [(step, value) for _, step, value in rates] == [(step, pytest.approx(1e-4)) for step in range(1, STEPS + 1)]


def test_the_whole_validation_set_is_a_point_at_every_save(ask, run):
    points = ask("plugin/scalars/scalars", run=f"{own(run)}/validation", tag="accuracy")
    assert [step for _, step, _ in points] == [SAVE_EVERY, STEPS]
    _, (images, labels) = read_data().hold_out(5000)
    accuracy = (run.predict(images[..., 0], framework="pytorch").argmax(1) == labels).mean()
    assert points[-1][2] == pytest.approx(accuracy)
    assert run.result["validation_accuracy"] == accuracy


def test_hparams_have_every_setting_and_the_result(ask, run):
    experiment = ask("plugin/hparams/experiment", request=json.dumps({"includeMetrics": True}))
    columns = {info["name"] for info in experiment["hparamInfos"]}
    kept = {key for key in run.checkpoint.settings.values if not key.startswith("conv[")}
    assert columns == kept | {"conv", "framework", "variant"}
    found = session(ask)
    assert found["hparams"]["learning_rate"] == pytest.approx(1e-4)
    assert found["hparams"]["framework"] == "pytorch"
    assert found["hparams"]["batch_size"] == 100
    assert found["status"] == "STATUS_SUCCESS"
    assert found["endTimeSecs"] > found["startTimeSecs"]
    values = {(each["name"]["group"], each["name"]["tag"]): each["value"] for each in found["metrics"]}
    for tag in ("accuracy", "cross_entropy"):
        assert values["", f"test_{tag}"] == pytest.approx(run.result[f"test_{tag}"], rel=1e-6)
        assert values["validation", tag] == pytest.approx(run.result[f"validation_{tag}"], rel=1e-6)


def test_the_graph_has_every_layer_with_its_shapes_and_the_loss(ask, run):
    text = ask("plugin/graphs/graph", run=own(run), limit_attr_size=1024, large_attrs_key="_too_large").decode()
    scopes = {line.split('"')[1].partition("/")[0] for line in text.splitlines() if line.startswith("  name:")}
    layers = [layer.name for layer in run.checkpoint.settings.network.layers]
    assert scopes == {"input", "flatten", "loss", "accuracy", *layers}
    nodes = {part.split('"')[1]: part for part in text.split("node {")[1:]}
    sizes = [line.split()[1] for line in nodes["conv2/AvgPool"].splitlines() if "size:" in line]
    assert sizes == ["-1", "5", "5", "16"]
    assert 'input: "conv1/AvgPool"' in nodes["conv2/Conv2D"]
    assert 'input: "output/BiasAdd"' in nodes["loss/cross_entropies"]


def test_the_pictures_are_drawn_at_the_end(ask, run):
    for tag in ("kernels", "mistakes", "confusion"):
        ((described),) = ask("plugin/images/images", run=own(run), tag=tag, sample=0)
        query = dict(urllib.parse.parse_qsl(described["query"]))
        picture = Image.open(io.BytesIO(ask("plugin/images/individualImage", **query)))
        assert described["step"] == STEPS
        assert len(np.unique(picture.convert("L"))) > 10


@pytest.mark.parametrize("kind", ["parameter", "first_moment", "update_to_parameter"])
def test_histograms_count_every_element_at_every_save(ask, run, before, kind):
    state, earlier = run.checkpoint.state, before.checkpoint.state.parameters
    of_kind = {"parameter": state.parameters, "first_moment": state.first_moment}
    with np.errstate(divide="ignore"):  # what does not change has no logarithm, and is not counted
        of_kind["update_to_parameter"] = {
            name: np.log10(np.abs((now - earlier[name]) / now)) for name, now in state.parameters.items()
        }
    tags = {tag for tag in ask("plugin/histograms/tags")[own(run)] if tag.startswith(f"{kind}/")}
    assert tags == {f"{kind}/{name}" for name in state.parameters}
    for name, array in of_kind[kind].items():
        points = ask("plugin/histograms/histograms", run=own(run), tag=f"{kind}/{name}")
        assert [step for _, step, _ in points] == [SAVE_EVERY, STEPS]
        buckets, finite = np.array(points[-1][2]), array[np.isfinite(array)]
        assert buckets[:, 2].sum() == finite.size > 0
        assert (buckets[0, 0], buckets[-1, 1]) == (pytest.approx(finite.min()), pytest.approx(finite.max()))
        counted, _ = np.histogram(finite, [*buckets[:, 0], buckets[-1, 1]])
        assert np.abs(counted - buckets[:, 2]).sum() <= 0.02 * finite.size + 2  # one at an edge may be in the next


def test_text_has_the_settings_and_the_command(ask, run):
    (settings,), (command,) = (ask("plugin/text/text", run=own(run), tag=tag) for tag in ("settings", "command"))
    for key, value in run.checkpoint.settings.values.items():
        if not key.startswith("conv["):
            assert f"<td>{key}</td>\n<td><code>{to_text(value)}</code></td>" in html.unescape(settings["text"])
    assert "torch" in command["text"]


@pytest.mark.parametrize("values", [[0, 1e-40, 3e-39], [0, 0], [np.nan, np.inf], [-3e38, 3e38], []])
def test_a_histogram_can_be_of_any_numbers(values):
    array = np.array(values, np.float32)
    histogram = summaries.histogram("parameter/x", array).histo
    assert sum(histogram.bucket) == histogram.num == np.isfinite(array).sum()


def test_detail_decides_what_is_written(workers, small_data, tmp_path):
    written = {}
    for detail in ("none", "scalars", "all"):
        flags = ("--train", "--train_num", 3, "--config", "lenet5", "--batch_size", 20, "--data_dir", small_data)
        code, _, err = workers["pytorch"].run(*flags, "--log", detail, "--log_dir", tmp_path / detail)
        assert code == 0, err
        folder = run_folder(tmp_path / detail, "pytorch")
        written[detail] = {path.parent.name for path in folder.rglob("events*")}
    parts = {"train", "test", "validation"}
    assert written == {"none": set(), "scalars": parts, "all": {*parts, "seed-0"}}


def test_a_run_logs_less_than_10_megabytes(run):
    files = [path for folder in ("train", "test", "validation", ".") for path in event_files(run.folder / folder)]
    assert sum(path.stat().st_size for path in files) < 1e6  # of 40 steps


def test_precision_and_recall_are_those_of_the_counts():
    counts = metrics.confusion(np.array([0, 0, 0, 1, 2, 2]), np.array([0, 0, 1, 1, 0, 0]), 4)
    assert counts.tolist() == [[2, 1, 0, 0], [0, 1, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0]]
    assert metrics.by_class(counts) == [
        {"precision": 0.5, "recall": 2 / 3, "images": 3},
        {"precision": 0.5, "recall": 1.0, "images": 1},
        {"precision": None, "recall": 0.0, "images": 2},
        {"precision": None, "recall": None, "images": 0},
    ]
