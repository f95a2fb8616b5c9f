"""The page: one HTML file in which one draws, with the network in JavaScript and its parameters as float16."""

import base64
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import jinja2
import numpy as np
from markupsafe import Markup

from lenet.dataset import MNIST, DatasetInfo
from lenet.errors import UserError
from lenet.settings import Settings
from lenet.use.preparation import is_handwriting

FOLDER = Path(__file__).parents[1] / "page"
DIGIT = "Draw a digit"
SCRIPTS = ("network.js", "preparation.js", "drawing.js")


def loading(path: Path, settings: Settings) -> str:  # noqa: ARG001 - the same for each
    """Return how to open the page."""
    return f"open {path} in a browser, and draw"


def write(path: Path, settings: Settings, parameters: Mapping[str, np.ndarray]) -> None:
    """Write the page."""
    network, data = settings.network, settings.data
    with np.errstate(over="ignore"):
        halves = np.concatenate([parameters[name].ravel() for name in network.shapes]).astype("<f2")
    if not np.isfinite(halves).all():
        raise UserError("a parameter is larger than float16 allows, 65504; export another format")
    height, width, channels = data.image_shape
    model = {
        "architecture": dataclasses.asdict(settings.architecture),
        "image_shape": data.image_shape,
        "shapes": list(network.shapes.items()),
        "classes": data.classes,
        "prepared": is_handwriting(data),
    }
    template = jinja2.Template((FOLDER / "index.html.j2").read_text(encoding="utf-8"), autoescape=True)
    text = template.render(
        heading=heading(data),
        kinds="single digits" if heading(data) == DIGIT else f"{len(data.classes)} classes",
        pictures=not model["prepared"],
        colour=channels == 3,
        size=f"{width} \N{MULTIPLICATION SIGN} {height}",
        title=settings.variant,
        filters=settings.architecture.conv[0].filters,
        style=Markup((FOLDER / "style.css").read_text(encoding="utf-8").strip()),  # noqa: S704 - it is our own
        # No < in JSON: "</script>" in a class's name would end it.
        model=Markup(json.dumps(model).replace("<", "\\u003c")),  # noqa: S704
        parameters=Markup(base64.b64encode(halves.tobytes()).decode()),  # noqa: S704
        script=Markup("\n".join((FOLDER / name).read_text(encoding="utf-8") for name in SCRIPTS).strip()),  # noqa: S704
    )
    path.write_text(text, encoding="utf-8")


def heading(data: DatasetInfo) -> str:
    """Return what the page asks for."""
    if not is_handwriting(data):
        return "Draw, or open a picture"
    return DIGIT if data.classes == MNIST.classes else "Draw a character"
