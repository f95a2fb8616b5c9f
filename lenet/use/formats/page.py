"""The page: one HTML file in which one draws, with the network in JavaScript and its parameters as float16."""

import base64
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import jinja2
import numpy as np
from markupsafe import Markup

from lenet.architecture import CLASSES
from lenet.errors import UserError
from lenet.settings import Settings
from lenet.use.preparation import is_handwriting

FOLDER = Path(__file__).parents[1] / "page"
SCRIPTS = ("network.js", "preparation.js", "drawing.js")


def loading(path: Path, settings: Settings) -> str:  # noqa: ARG001 - the same for each
    """Return how to open the page."""
    return f"open {path} in a browser, and draw"


def write(path: Path, settings: Settings, parameters: Mapping[str, np.ndarray]) -> None:
    """Write the page."""
    architecture = settings.architecture
    with np.errstate(over="ignore"):
        halves = np.concatenate([parameters[name].ravel() for name in architecture.shapes]).astype("<f2")
    if not np.isfinite(halves).all():
        raise UserError("a parameter is larger than float16 holds, 65504; the page cannot have it")
    model = {
        "architecture": dataclasses.asdict(architecture),
        "shapes": list(architecture.shapes.items()),
        "classes": [str(each) for each in range(CLASSES)],
        "prepared": is_handwriting(settings.data),
    }
    template = jinja2.Template((FOLDER / "index.html.j2").read_text(encoding="utf-8"), autoescape=True)
    text = template.render(
        heading="Draw a digit" if model["prepared"] else "Draw",
        kinds="single digits" if model["prepared"] else f"{CLASSES} classes",
        title=settings.variant,
        filters=architecture.conv[0].filters,
        style=Markup((FOLDER / "style.css").read_text(encoding="utf-8").strip()),  # noqa: S704 - it is our own
        # No < in JSON: "</script>" in a class's name would end it.
        model=Markup(json.dumps(model).replace("<", "\\u003c")),  # noqa: S704
        parameters=Markup(base64.b64encode(halves.tobytes()).decode()),  # noqa: S704
        script=Markup("\n".join((FOLDER / name).read_text(encoding="utf-8") for name in SCRIPTS).strip()),  # noqa: S704
    )
    path.write_text(text, encoding="utf-8")
