"""The page in a real browser: what it says is what --predict says, in light and dark, by mouse and by keyboard."""

import base64
import dataclasses
import json

import browser
import jobs
import numpy as np
import pytest
from conftest import ARCHITECTURES
from PIL import Image

import lenet
from lenet.config import load
from lenet.data import load as read_data
from lenet.data import picture
from lenet.dataset import MNIST
from lenet.settings import Settings
from lenet.storage.checkpoint import Checkpoint
from lenet.storage.run import Run
from lenet.use import forward
from lenet.use.preparation import prepare

pytestmark = [
    pytest.mark.skipif(not browser.CHROMIUM, reason="there is no Chromium"),
    pytest.mark.skipif("not config.getoption('torture')", reason="in make torture"),
]
FRAME = "new Promise(done => requestAnimationFrame(() => setTimeout(done, 100)))"
SEEN = "Array.from(document.getElementById('seen').getContext('2d').getImageData(0, 0, 28, 28).data)"
ANSWER = "element('answer').textContent"
ANSWERS = "[...document.querySelectorAll('#bars .value')].map(cell => parseFloat(cell.textContent))"


@pytest.fixture(scope="module")
def run(workers, tmp_path_factory):
    """A run of lenet that knows its digits, and its page."""
    options = {"framework": "pytorch", "steps": 300, "log_dir": tmp_path_factory.mktemp("logs")}
    folder = workers["pytorch"].do(jobs.api, "train", "lenet", **options)
    lenet.load(folder).export(folder / "page.html")
    return lenet.load(folder)


def strokes_of(image):
    """Strokes that redraw an image of 28x28 on the canvas of 280x280: its ink row by row."""
    strokes = []
    for row in range(28):
        columns = np.flatnonzero(image[row] > 127)
        for part in np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1):
            if len(part):
                strokes.append([(10 * part[0] + 5, 10 * row + 5), (10 * part[-1] + 5, 10 * row + 5)])
    return strokes


def draw(page, strokes):
    left, top, width = page.evaluate(
        "(() => { const box = drawing.getBoundingClientRect();"
        "return [box.left + drawing.clientLeft, box.top + drawing.clientTop, drawing.clientWidth]; })()"
    )
    for stroke in strokes:
        points = [(left + x * width / 280, top + y * width / 280) for x, y in stroke]
        page.mouse("mousePressed", *points[0])
        for point in points[1:]:
            page.mouse("mouseMoved", *point)
        page.mouse("mouseReleased", *points[-1])
    page.evaluate(FRAME)


def seen(page):
    """The image that the page shows as what the network sees."""
    return np.array(page.evaluate(SEEN), np.uint8).reshape(28, 28, 4)[..., 0]


def test_ten_digits_are_what_predict_says(run, workers, tmp_path):
    images, labels = read_data().test
    right = 0
    with browser.opened(run.folder / "page.html") as page:
        for digit in range(10):
            page.evaluate("clear()")
            draw(page, strokes_of(images[labels == digit][3, ..., 0]))
            image, percents = seen(page), page.evaluate(ANSWERS)
            Image.fromarray(image).save(tmp_path / f"{digit}.png")
            canvas = np.array(page.evaluate("Array.from(ink().values, x => Math.round(255 * x))"), np.uint8)
            np.testing.assert_allclose(prepare(canvas.reshape(280, 280)).astype(int), image.astype(int), atol=1)
            right += int(np.argmax(percents) == digit)
            assert page.evaluate(ANSWER).startswith(f"{np.argmax(percents)}: ")
            _, out, _ = workers["pytorch"].run("--predict", tmp_path / f"{digit}.png", "--load", run.folder, "--json")
            said = json.loads(out)
            assert said["index"] == np.argmax(percents)
            np.testing.assert_allclose(percents, 100 * np.array(said["probabilities"]), atol=0.5)
        assert page.complaints() == []
    assert right >= 9


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_network_in_javascript_is_that_of_numpy(name, tmp_path):
    settings = Settings.of(load(name), MNIST)
    run = Run(tmp_path / "checkpoint.safetensors")
    Checkpoint.initial(settings).save(run.path)
    run.export(tmp_path / "page.html")
    image = read_data().test.images[0, ..., 0]
    with browser.opened(tmp_path / "page.html") as page:
        logits = page.evaluate(f"Array.from(forward(model, parameters, {image.ravel().tolist()}).logits)")
        assert page.complaints() == []
    parameters = run.checkpoint.state.parameters
    halves = {key: array.astype(np.float16).astype(np.float32) for key, array in parameters.items()}
    wanted = forward.logits(settings.network, halves, image[np.newaxis, ..., np.newaxis])[0]
    np.testing.assert_allclose(logits, wanted, atol=1e-4 * max(1, np.abs(wanted).max()))


def test_keys_draw_undo_and_clear(run):
    with browser.opened(run.folder / "page.html") as page:
        page.key("Tab")
        assert page.evaluate("document.activeElement.id") == "drawing"
        page.key(" ")
        assert page.evaluate("element('status').textContent") == "Pen down"
        for _ in range(6):
            page.key("ArrowDown")
        page.key(" ")
        page.evaluate(FRAME)
        assert page.evaluate("strokes.length") == 1
        assert seen(page).max() == 255
        assert page.evaluate(ANSWER).startswith("1: ")
        page.key("z")
        page.evaluate(FRAME)
        assert page.evaluate(ANSWER) == "Nothing is drawn yet."
        draw(page, [[(50, 50), (90, 90)], [(90, 50), (50, 90)]])
        page.key("z", modifiers=2)  # with Ctrl
        assert page.evaluate("strokes.length") == 1
        page.key("c")
        page.evaluate(FRAME)
        assert (page.evaluate("strokes.length"), seen(page).max()) == (0, 0)
        page.key("z")  # also what was cleared
        assert page.evaluate("strokes.length") == 1
        for element in ("undo", "clear"):
            page.key("Tab")
            assert page.evaluate("document.activeElement.id") == element


def test_a_screen_reader_hears_one_answer_for_a_digit(run):
    with browser.opened(run.folder / "page.html") as page:
        page.evaluate(
            "heard = []; new MutationObserver(() => heard.push(element('status').textContent))"
            ".observe(element('status'), { childList: true })"
        )
        draw(page, [[(140, y) for y in range(60, 230, 4)]])
        page.evaluate("new Promise(done => setTimeout(done, 1500))")
        assert page.evaluate("heard") == [page.evaluate(ANSWER)]


@pytest.mark.parametrize(("width", "dark"), [(1400, False), (1400, True), (390, False), (390, True)])
def test_it_fits_the_screen_and_draws_in_the_themes_colours(width, dark, run, tmp_path):
    with browser.opened(run.folder / "page.html", width=width, height=844, dark=dark) as page:
        draw(page, [[(90, 90), (140, 60), (190, 90), (190, 130), (80, 230), (215, 230)]])
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(ANSWER).startswith("2: ")
        page.screenshot(tmp_path / "page.png")
        pixels = np.asarray(Image.open(tmp_path / "page.png").convert("L"))
        assert (np.median(pixels) < 60) if dark else (np.median(pixels) > 230)


def touch(page, kind, *points):
    places = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
    page.do("Input.dispatchTouchEvent", type=f"touch{kind}", touchPoints=places)


def test_fingers_draw_a_stroke_each_and_do_not_scroll(run):
    with browser.opened(run.folder / "page.html", width=390, height=844) as page:
        page.do("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)
        touch(page, "Start", (150, 300))
        touch(page, "Start", (150, 300), (250, 300))
        for y in (340, 380, 420):
            touch(page, "Move", (150, y), (250, y))
        touch(page, "End")
        page.evaluate(FRAME)
        assert page.evaluate("strokes.map(stroke => stroke.length)") == [4, 4]
        assert page.evaluate("strokes.map(stroke => Math.round(stroke[3][0] - stroke[0][0]))") == [0, 0]
        assert page.evaluate("scrollY") == 0
        page.evaluate("clear()")
        touch(page, "Start", (150, 300))
        page.evaluate("undo()")
        touch(page, "Move", (150, 400))
        touch(page, "End")
        assert (page.evaluate("strokes.length"), page.complaints()) == (0, [])
        page.evaluate("undo()")
        assert page.evaluate("strokes.length") == 2


def test_a_page_of_other_data_sees_the_whole_drawing(tmp_path):
    settings = Settings.of(load("lenet5"), dataclasses.replace(MNIST, name="fashion~1"))
    run = Run(tmp_path / "checkpoint.safetensors")
    Checkpoint.initial(settings).save(run.path)
    run.export(tmp_path / "page.html")
    with browser.opened(tmp_path / "page.html") as page:
        draw(page, [[(20, 20), (60, 20)]])
        canvas = np.array(page.evaluate("Array.from(ink().values, x => Math.round(255 * x))"), np.uint8)
        np.testing.assert_allclose(
            seen(page).astype(int), picture.fit(canvas.reshape(280, 280, 1), 28, 28)[..., 0].astype(int), atol=2
        )


@pytest.mark.parametrize("shape", [(32, 32, 3), (20, 30, 1)])
def test_a_page_opens_a_picture_and_sees_what_predict_sees(shape, tmp_path):
    names = tuple(f"kind {i}" for i in range(20))
    data = dataclasses.replace(MNIST, name="things~1", image_shape=shape, classes=names)
    settings = Settings.of(load("change_conv_number"), data)
    run = Run(tmp_path / "checkpoint.safetensors")
    Checkpoint.initial(settings).save(run.path)
    run.export(tmp_path / "page.html")
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    pixels = pixels.reshape(6, 10, 9, 10, 3).mean(axis=(1, 3), keepdims=True).repeat(10, 1).repeat(10, 3)
    picture_of = Image.fromarray(pixels.reshape(60, 90, 3).astype(np.uint8))
    picture_of.save(tmp_path / "picture.png")
    content = base64.b64encode((tmp_path / "picture.png").read_bytes()).decode()
    wanted = picture.fit(picture.read(tmp_path / "picture.png", shape[2]), *shape[:2])
    with browser.opened(tmp_path / "page.html", width=390) as page:
        page.evaluate(
            f"openPicture(new File([Uint8Array.from(atob('{content}'), c => c.charCodeAt(0))], 'x.png')).then(() => 0)"
        )
        page.wait("picture")
        image = np.array(page.evaluate("Array.from(image())"), np.uint8).reshape(shape)
        assert np.abs(image.astype(int) - wanted).max() <= (2 if 60 % shape[0] == 0 else 40)
        assert np.abs(image.astype(int) - wanted).mean() < 3
        page.evaluate(FRAME)
        rows = page.evaluate("[...element('bars').children].map(row => row.textContent)")
        logits = forward.logits(settings.network, run.checkpoint.state.parameters, image[np.newaxis])[0]
        best = np.argsort(-logits)
        assert len(rows) == 10
        assert rows[0].startswith(names[best[0]])
        page.evaluate("clear()")
        page.evaluate(FRAME)
        assert page.evaluate(ANSWER) == "Nothing is drawn yet."
        page.evaluate("openPicture(new File(['no picture'], 'x.png')).then(() => 0)")
        page.wait("element('answer').textContent === 'This picture cannot be read.'")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.complaints() == []
