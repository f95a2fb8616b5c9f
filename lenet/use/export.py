"""Export: a run's model as a file of another program, compared with the parameters before it is put in place."""

import importlib
import importlib.util
import os
import tempfile
from pathlib import Path

import numpy as np

import backends
from lenet.data import load as read_data
from lenet.errors import UserError, notice
from lenet.storage.run import BEST, AnyPath, Run
from lenet.system.files import move_aside, rename, sync, writing
from lenet.use import forward

# Ending -> the module of lenet.use.formats that writes it, and the framework that it needs.
FORMATS = {
    ".onnx": ("onnx", ""),
    ".pt2": ("pytorch", "pytorch"),
    ".pt": ("pytorch", "pytorch"),
    ".safetensors": ("pytorch", "pytorch"),
    ".keras": ("keras", "keras"),
    ".html": ("page", ""),
    "/": ("keras", "keras"),
}
COMPARED = 100  # images of 28x28, made of MNIST's test images; fewer of larger ones
TOLERANCE = 1e-4  # of the logits, relative to the largest


def export(run: Run, path: AnyPath) -> str:
    """See Run.export."""
    ending = "/" if str(path).endswith(("/", os.sep)) else Path(path).suffix
    if ending not in FORMATS:
        known = ", ".join(FORMATS)
        raise UserError(f"{path}: unknown ending; use one of {known} (/ is a folder, TensorFlow's SavedModel)")
    name, framework = FORMATS[ending]
    path, checkpoint = Path(path), run.checkpoint
    with writing(path, "choose another place"):
        require_place(path, ending, run)
    if framework:
        backends.load(framework)
    elif name == "onnx" and not importlib.util.find_spec("onnx"):
        raise UserError("onnx is not installed; to export .onnx: pip install -r requirements/export.txt")
    module = importlib.import_module(f"lenet.use.formats.{name}")
    settings = checkpoint.settings
    parameters = {key: array.astype(np.float32) for key, array in checkpoint.state.parameters.items()}
    with writing(path, "choose another place"):
        above = next(folder for folder in path.absolute().parents if folder.exists())
        with tempfile.TemporaryDirectory(prefix=".lenet-", dir=above) as folder:
            made = Path(folder) / f"model{ending.rstrip('/')}"
            module.write(made, settings, parameters)
            if hasattr(module, "logits"):
                digits = read_data(test_only=True).test.images
                height, width, _ = settings.data.image_shape
                count = max(2, min(COMPARED, COMPARED * 28 * 28 // (height * width)))
                images = np.resize(digits, (count, *settings.data.image_shape))
                wanted = forward.logits(settings.network, parameters, images)
                compare(module.logits(made, settings, images), wanted)
            put(made, path)
    text: str = module.loading(path, settings)
    return text


def require_place(path: Path, ending: str, run: Run) -> None:
    """UserError if there is something that may not be moved aside."""
    if ending != "/" and path.is_dir():
        raise UserError(f"{path} is a folder; choose another name")
    if ending == "/" and path.exists() and not ((path / "saved_model.pb").exists() or is_empty(path)):
        raise UserError(f"{path} exists and is not a SavedModel; choose another name")
    if path.resolve() in (run.path.resolve(), (run.folder / BEST).resolve()):
        raise UserError(f"{path} is the run's checkpoint; choose another name")


def is_empty(folder: Path) -> bool:
    """Whether it is a folder with nothing in it."""
    return folder.is_dir() and not any(folder.iterdir())


def compare(found: np.ndarray, wanted: np.ndarray) -> None:
    """UserError if logits are not those of the parameters."""
    difference, largest = np.abs(found - wanted).max(), max(1.0, np.abs(wanted).max())
    if not difference <= TOLERANCE * largest:
        text = (
            f"its logits differ by {difference:.2g} from the network's; rounding is {TOLERANCE * largest:.2g} at most"
        )
        raise UserError(f"{text}; the file is not written; please report this as a bug", exit_code=1)


def put(made: Path, path: Path) -> None:
    """Put what was made in its place, and what was there aside."""
    if made.is_file():
        with made.open("rb+") as file:
            sync(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    if is_empty(path):
        path.rmdir()
    if path.exists():
        notice(f"the old {path} was renamed to {move_aside(path)}")
    rename(made, path)
