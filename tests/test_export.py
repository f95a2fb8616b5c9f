"""--export: each file, loaded by the lines that are printed, in a process that cannot see this project."""

import ast
import fcntl
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from pathlib import PurePosixPath, PureWindowsPath

import jobs
import numpy as np
import pytest
import reference
from conftest import ARCHITECTURES, FRAMEWORKS, PROJECT, Worker, run_folder

import lenet
from lenet import UserError
from lenet.architecture import Architecture, Conv
from lenet.config import Config, load
from lenet.data import load as read_data
from lenet.dataset import MNIST
from lenet.settings import Settings
from lenet.storage.checkpoint import Checkpoint
from lenet.storage.run import Run
from lenet.training import Training
from lenet.use import export, forward

# What a file is called -> the process that writes it, and the logits in what the printed lines leave.
FILES = {
    "model.onnx": ("other", "logits"),
    "model.pt2": ("pytorch", "logits.detach()"),
    "model.pt": ("pytorch", "model(images.unsqueeze(1) / 255).detach()"),
    "model.safetensors": ("pytorch", "model(images.unsqueeze(1) / 255).detach()"),
    "model.keras": ("keras", "logits"),
    "model/": ("keras", 'outputs["logits"]'),
}
# Every kind of padding: an even kernel, a window wider than its stride, and sizes that do not divide.
PADDED = {
    pool: Architecture(
        (
            Conv(3, kernel=4, pool=pool, pool_window=3),
            Conv(4, kernel=3, pool=pool, pool_stride=1),
            Conv(5, kernel=2, pool=pool, pool_window=4, pool_stride=3),
            Conv(2, kernel=1, pool=pool, pool_window=1, pool_stride=2),
        ),
        (7,),
        "tanh",
    )
    for pool in ("max", "average")
}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder with images.npy: 50 test images."""
    folder = tmp_path_factory.mktemp("images")
    np.save(folder / "images.npy", read_data().test.images[:50, ..., 0])
    return folder


def run_of(architecture, folder):
    """A run that was never trained."""
    settings = Settings.of(Config("mine", architecture, Training()), MNIST)
    run = Run(folder / "checkpoint.safetensors")
    Checkpoint.initial(settings).save(run.path)
    return run


def loaded(lines, folder, images, expression="logits", read=json.loads):
    """The logits of images.npy by printed lines of Python, in another folder and process, and what these print."""
    (folder / "images.npy").write_bytes((images / "images.npy").read_bytes())
    code = f"{lines}\nnp.save('logits.npy', np.asarray({expression}))\n"
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return np.load(folder / "logits.npy"), read(done.stdout)


@pytest.mark.parametrize("architecture", [*(load(name).architecture for name in ARCHITECTURES), *PADDED.values()])
def test_the_forward_pass_in_numpy_is_that_of_the_reference(architecture):
    """Which is written apart from it, in float64."""
    settings = Settings.of(Config("x", architecture, Training()), MNIST)
    network, parameters = settings.network, Checkpoint.initial(settings).state.parameters
    double = {name: array.astype(float) for name, array in parameters.items()}
    images = read_data().test.images[:3]
    _, _, wanted = reference.gradients(network, double, images, np.zeros(3, int))
    found = forward.logits(network, parameters, images)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-5 * max(1, np.abs(wanted).max()))


@pytest.mark.parametrize("file", FILES)
def test_the_printed_lines_load_the_file(file, workers, process, images, tmp_path):
    writer, expression = FILES[file]
    worker = process if writer == "other" else workers[writer]
    run = run_of(load("add_conv").architecture, tmp_path)
    lines = worker.do(jobs.exported, run.folder, f"{tmp_path}/{file}")
    found, printed = loaded(lines, tmp_path, images, expression)
    checkpoint = run.checkpoint
    wanted = forward.logits(
        run.checkpoint.settings.network, checkpoint.state.parameters, np.load(images / "images.npy")[..., np.newaxis]
    )
    np.testing.assert_allclose(found, wanted, atol=1e-4 * max(1, np.abs(wanted).max()))
    assert printed == wanted.argmax(axis=1).tolist()


@pytest.mark.parametrize("file", [file for file in FILES if file not in ("model.pt", "model.safetensors")])
@pytest.mark.parametrize("pool", ["max", "average"])
def test_every_padding_is_exported(file, pool, workers, process, tmp_path):
    """The export compares the file's logits with those of NumPy."""
    run = run_of(PADDED[pool], tmp_path)
    worker = process if FILES[file][0] == "other" else workers[FILES[file][0]]
    worker.do(jobs.exported, run.folder, f"{tmp_path}/{file}")
    assert (tmp_path / file).exists()


@pytest.mark.framework
def test_keras_on_torch_refuses_the_pool_that_it_computes_otherwise(tmp_path):
    run = run_of(PADDED["average"], tmp_path)
    worker = Worker("keras", {"KERAS_BACKEND": "torch"})
    said = worker.do(jobs.exported, run.folder, f"{tmp_path}/model.keras")
    worker.pool.shutdown()
    assert said == "Keras on torch counts edge pixels twice in a wide average-pool; set KERAS_BACKEND=tensorflow"
    assert not (tmp_path / "model.keras").exists()


@pytest.mark.parametrize("pool", ["max", "average"])
def test_pytorchs_parameters_of_every_padding_are_loaded_or_refused(pool, workers, images, tmp_path):
    run = run_of(PADDED[pool], tmp_path)
    if pool == "average":
        said = workers["pytorch"].do(jobs.exported, run.folder, f"{tmp_path}/model.pt")
        assert said == "this config pads its average-pools, and PyTorch has no layer for that; export as .pt2 or .onnx"
        assert not (tmp_path / "model.pt").exists()
        return
    lines = workers["pytorch"].do(jobs.exported, run.folder, f"{tmp_path}/model.pt")
    found, _ = loaded(lines, tmp_path, images, FILES["model.pt"][1])
    network, parameters = run.checkpoint.settings.network, run.checkpoint.state.parameters
    wanted = forward.logits(network, parameters, np.load(images / "images.npy")[..., np.newaxis])
    np.testing.assert_allclose(found, wanted, atol=1e-4 * max(1, np.abs(wanted).max()))


def test_a_process_that_trained_exports_and_trains_on(workers, tmp_path):
    """What training sets for its own purposes does not reach the file, nor the export the training."""
    for writer, files in (("pytorch", ["a.pt2", "b.pt2", "c.pt"]), ("keras", ["a.keras", "a/", "b.keras"])):
        options = {"framework": writer, "log_dir": tmp_path / writer, "precision": "bfloat16", "steps": 1}
        folder = workers[writer].do(jobs.api, "train", "lenet5", **options)
        for file in files:
            lines = workers[writer].do(jobs.exported, folder, f"{tmp_path}/{writer}-{file}")
            assert lines.startswith(("import", "from")), lines
        workers[writer].do(jobs.api, "train", "lenet5", **options, seed=1)
    kinds = workers["keras"].do(jobs.kinds_of_saved_model, tmp_path / "keras-a")
    assert kinds == {"logits": "float32", "probabilities": "float32"}


def test_keras_own_settings_change_nothing_and_training_goes_on_after(process, tmp_path):
    (tmp_path / "keras.json").write_text('{"backend": "tensorflow", "image_data_format": "channels_first"}')
    run = run_of(load("lenet5").architecture, tmp_path)
    process.do(jobs.set_environment, {"KERAS_HOME": str(tmp_path)})
    for file in ("a.keras", "a/"):
        assert process.do(jobs.exported, run.folder, f"{tmp_path}/{file}").startswith("import")
    process.do(jobs.api, "train", "lenet5", framework="keras", log_dir=tmp_path / "logs", steps=1)


@pytest.mark.framework
@pytest.mark.parametrize("file", [*FILES, "model.html"])
def test_a_disk_that_is_full_gets_one_line(file, tmp_path, request):
    if file in ("model.pt", "model.safetensors", "model.keras") and not request.config.getoption("torture"):
        pytest.skip("in make torture")
    run = run_of(load("lenet5").architecture, tmp_path)
    command = ["sh", "-c", 'ulimit -f 40; exec "$@"', "sh", sys.executable, PROJECT / "main.py"]
    command += ["--load", run.folder, "--export", f"{tmp_path}/out/{file}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert "cannot be written: " in done.stderr
    assert done.stderr.endswith("; choose another place\n")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.safetensors"]


def test_what_was_there_is_moved_aside(tmp_path, capsys):
    run = run_of(load("lenet5").architecture, tmp_path)
    (tmp_path / "page.html").write_text("precious")
    run.export(tmp_path / "page.html")
    assert (tmp_path / "page.html.1").read_text() == "precious"
    said = f"lenet: notice: the old {tmp_path}/page.html was renamed to {tmp_path}/page.html.1\n"
    assert capsys.readouterr().err == said
    made = tmp_path / "made"
    for i in range(3):
        made.mkdir()
        (made / "saved_model.pb").write_text(str(i))
        (made / "notes.txt").touch()
        (tmp_path / "model").mkdir(exist_ok=True)  # an empty folder is no model: nothing is moved
        export.put(made, tmp_path / "model")
    found = {folder.name: (folder / "saved_model.pb").read_text() for folder in tmp_path.glob("model*")}
    assert found == {"model": "2", "model.1": "0", "model.2": "1"}
    with pytest.raises(UserError, match="is the run's checkpoint; choose another name"):
        run.export(run.path)
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(UserError, match="is a folder; choose another name"):
        run.export(tmp_path / "folder.html")


@pytest.mark.parametrize("name", ["C:\\new\\u00.onnx", 'quoted".onnx', "ein ä.onnx"])
def test_the_lines_are_python_whatever_the_name(name):
    from lenet.use.formats import onnx

    path = PureWindowsPath(name) if "\\" in name else PurePosixPath(name)
    lines = onnx.loading(path, Settings.of(load("lenet5"), MNIST))
    calls = [node for node in ast.walk(ast.parse(lines)) if isinstance(node, ast.Call)]
    (call,) = [node for node in calls if "Session" in ast.dump(node.func)]
    assert ast.literal_eval(call.args[0]) == path.as_posix()


def test_the_lines_are_whole_on_a_narrow_terminal(tmp_path):
    run = run_of(load("lenet5").architecture, tmp_path)
    main, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    command = [sys.executable, PROJECT / "main.py", "--export", tmp_path / "model.onnx", "--load", run.folder]
    assert subprocess.run(command, stdout=end).returncode == 0
    os.close(end)
    text = os.read(main, 10_000).decode().replace("\r\n", "\n")
    os.close(main)
    ast.parse(text)
    assert text.startswith("import numpy as np\nimport onnxruntime\n")


@pytest.mark.skipif(not shutil.which("node"), reason="there is no Node.js")
@pytest.mark.parametrize("architecture", [load("lenet5").architecture, load("add_conv").architecture, *PADDED.values()])
def test_the_page_computes_in_javascript_what_numpy_does(architecture, tmp_path):
    run = run_of(architecture, tmp_path)
    run.export(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    model, base64 = (re.search(f'id="{name}">(.*?)</script>', page, re.DOTALL)[1] for name in ("model", "parameters"))
    image = read_data().test.images[0, ..., 0]
    script = (PROJECT / "lenet/use/page/network.js").read_text() + (
        f"const model = {model};"
        f"const parameters = decodeParameters('{base64}', model.shapes);"
        f"console.log(JSON.stringify([...forward(model, parameters, {image.ravel().tolist()}).logits]));"
    )
    (tmp_path / "script.js").write_text(script)
    logits = json.loads(subprocess.run(["node", tmp_path / "script.js"], capture_output=True, check=True).stdout)
    parameters = run.checkpoint.state.parameters
    halves = {key: array.astype(np.float16).astype(np.float32) for key, array in parameters.items()}
    wanted = forward.logits(run.checkpoint.settings.network, halves, image[np.newaxis, ..., np.newaxis])[0]
    np.testing.assert_allclose(logits, wanted, atol=1e-4 * max(1, np.abs(wanted).max()))


def test_a_file_with_other_logits_is_not_put_in_place(tmp_path, monkeypatch):
    from lenet.use.formats import onnx

    logits = onnx.logits
    monkeypatch.setattr(onnx, "logits", lambda *arguments: logits(*arguments) + 0.1)
    run = run_of(load("lenet5").architecture, tmp_path)
    with pytest.raises(UserError, match=r"its logits differ by 0\.1 from the network's") as error:
        run.export(tmp_path / "model.onnx")
    assert error.value.exit_code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.safetensors"]


def test_mistakes_get_one_line(tmp_path, monkeypatch):
    run = run_of(load("lenet5").architecture, tmp_path)
    for name in ("model.h5", "model", "model.onnx.zip"):
        with pytest.raises(
            UserError, match=re.escape("unknown ending; use one of .onnx, .pt2, .pt, .safetensors, .keras, .html, / (")
        ):
            run.export(tmp_path / name)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.png").touch()
    with pytest.raises(UserError, match="photos exists and is not a SavedModel; choose another name"):
        run.export(f"{tmp_path}/photos/")
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=re.escape("pip install -r requirements/export.txt")):
        run.export(tmp_path / "model.onnx")


def test_the_command_prints_the_lines(workers, tmp_path):
    run = run_of(load("lenet5").architecture, tmp_path)
    code, out, err = workers["pytorch"].run("--export", tmp_path / "sub/model.onnx", "--load", run.folder)
    assert (code, err) == (0, "")
    assert out.startswith("import numpy as np\nimport onnxruntime\n")
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["model.onnx"]


def test_every_config_of_every_framework_in_every_format(workers, process, images, tmp_path, request):
    """The table of the largest differences, and ONNX's accuracy on all test images. Only in the long version."""
    if not request.config.getoption("torture"):
        pytest.skip("in make torture")
    print()
    test = read_data().test
    for name in ARCHITECTURES:
        for framework in FRAMEWORKS:
            log_dir = tmp_path / name / framework
            workers[framework].run("--train", "--train_num", 20, "--config", name, "--log_dir", log_dir)
            run = lenet.load(run_folder(log_dir, framework))
            network, parameters = run.checkpoint.settings.network, run.checkpoint.state.parameters
            wanted = forward.logits(network, parameters, np.load(images / "images.npy")[..., np.newaxis])
            differences = {}
            for file, (writer, expression) in FILES.items():
                worker = process if writer == "other" else workers[writer]
                lines = worker.do(jobs.exported, run.folder, f"{log_dir}/{file}")
                found, _ = loaded(lines, log_dir, images, expression)
                differences[file] = np.abs(found - wanted).max() / max(1, np.abs(wanted).max())
                assert differences[file] <= 1e-4
            right = process.do(jobs.accuracy_of_onnx, log_dir / "model.onnx", test.images[..., 0], test.labels)
            assert right == run.result["test_accuracy"]
            print(name, framework, *(f"{file} {value:.1e}" for file, value in differences.items()))
