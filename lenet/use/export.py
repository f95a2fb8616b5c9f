"""Export: a run's model as a file of another program, compared with the parameters before it is put in place."""

import importlib
import importlib.util
import tempfile
from pathlib import Path

import numpy as np

from lenet import api, dataset
from lenet.errors import UserError
from lenet.storage.run import AnyPath, Run
from lenet.system.files import replacing, writing
from lenet.use import forward

# Ending -> the module of lenet.use.formats that writes it, and the framework that it needs.
FORMATS = {
    ".onnx": ("onnx", ""),
    ".pt2": ("pytorch", "pytorch"),
    ".pt": ("pytorch", "pytorch"),
    ".safetensors": ("pytorch", "pytorch"),
    ".keras": ("keras", "keras"),
    "/": ("keras", "keras"),
    ".html": ("page", ""),
}
COMPARED = 100  # test images
TOLERANCE = 1e-4  # of the logits, relative to the largest


def export(run: Run, path: AnyPath) -> str:
    """See Run.export."""
    ending = "/" if str(path).endswith(("/", "\\")) else Path(path).suffix.lower()
    if ending not in FORMATS:
        known = ", ".join(FORMATS)
        raise UserError(f"{path}: the ending says the format: {known} (a folder, for TensorFlow's SavedModel)")
    name, framework = FORMATS[ending]
    checkpoint, path = run.checkpoint, Path(path)
    if framework:
        api.import_framework(framework)
    elif name == "onnx" and not importlib.util.find_spec("onnx"):
        raise UserError("to write .onnx needs onnx, which is not installed: pip install -r requirements/export.txt")
    module = importlib.import_module(f"lenet.use.formats.{name}")
    settings = checkpoint.settings
    parameters = {key: array.astype(np.float32) for key, array in checkpoint.state.parameters.items()}
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".lenet-", dir=path.parent) as folder:
            made = Path(folder) / f"model{ending.rstrip('/')}"
            module.write(made, settings, parameters)
            if hasattr(module, "logits"):
                images = dataset.load().test.images[:COMPARED, ..., 0]
                wanted = forward.logits(settings.architecture, parameters, images)
                compare(module.logits(made, settings, images), wanted)
            put(made, path)
    text: str = module.loading(path, settings)
    return text


def compare(found: np.ndarray, wanted: np.ndarray) -> None:
    """UserError if logits are not those of the parameters."""
    difference, largest = np.abs(found - wanted).max(), max(1.0, np.abs(wanted).max())
    if not difference <= TOLERANCE * largest:
        text = f"its logits differ by {difference:.2g} from those of the parameters, so it is not written"
        raise UserError(f"{text}; at most {TOLERANCE * largest:.2g} is rounding", exit_code=1)


def put(made: Path, path: Path) -> None:
    """Put what was made in its place, also in that of an earlier one."""
    if made.is_file():
        with replacing(path) as temporary:
            made.rename(temporary)
        return
    if path.exists() and not (path / "saved_model.pb").exists():
        raise UserError(f"{path} is something else than a SavedModel; choose another name")
    if path.exists():
        path.rename(made.with_name("before"))  # deleted with the temporary folder
    made.rename(path)
