"""Pictures: read in any form, and prepared as MNIST was. The pictures are made from MNIST's test images."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lenet import UserError
from lenet.data import load as read_data
from lenet.data import picture
from lenet.use.preparation import is_prepared, prepare

SCALE = 10


@pytest.fixture(scope="module")
def digits():
    """Two test images of each digit, uint8 [20, 28, 28]."""
    images, labels = read_data().test
    return np.concatenate([images[labels == digit][:2, ..., 0] for digit in range(10)])


def enlarged(image):
    return np.asarray(Image.fromarray(image).resize((28 * SCALE, 28 * SCALE), Image.Resampling.BICUBIC))


def on_paper(image):
    """Dark ink on grey paper that is lit from one side, with noise; the digit is small and off the centre."""
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:600, :500]
    paper = 150 + 60 * columns / 500 + 25 * rows / 600 + generator.normal(0, 3, (600, 500))
    paper[50:330, 180:460] *= 1 - enlarged(image) / 255 * 0.7
    return paper.clip(0, 255).astype(np.uint8)


def saved(image, form, mode="L", **options):
    """A picture as it is read from a file."""
    file = io.BytesIO()
    image.convert(mode).save(file, form, **options)
    return file.getvalue()


def with_alpha(image, ink):
    """Ink on nothing: only the alpha channel shows it."""
    alpha = Image.fromarray(enlarged(image))
    picture = Image.new("RGBA", alpha.size, (ink, ink, ink, 0))
    picture.putalpha(alpha)
    return picture


def turned_by_exif(image):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    return saved(Image.fromarray(np.rot90(enlarged(image))), "JPEG", exif=exif)


def sixteen_bits(image):
    return saved(Image.fromarray(enlarged(image).astype(np.uint16) * 257), "PNG", "I;16")


FORMS = {
    "enlarged": lambda image: saved(Image.fromarray(enlarged(image)), "PNG"),
    "inverted": lambda image: saved(Image.fromarray(255 - enlarged(image)), "PNG"),
    "on paper": lambda image: saved(Image.fromarray(on_paper(image)), "JPEG", quality=85),
    "inverted, 28x28": lambda image: saved(Image.fromarray(255 - image), "PNG"),
    "dark with alpha": lambda image: saved(with_alpha(image, 0), "PNG", "RGBA"),
    "light with alpha": lambda image: saved(with_alpha(image, 255), "WEBP", "RGBA", lossless=True),
    "palette": lambda image: saved(Image.fromarray(255 - enlarged(image)), "GIF", "P"),
    "CMYK": lambda image: saved(Image.fromarray(255 - enlarged(image)), "JPEG", "CMYK"),
    "bitmap": lambda image: saved(Image.fromarray(enlarged(image)), "BMP", "RGB"),
    "two levels": lambda image: saved(Image.fromarray(255 - enlarged(image)), "TIFF", "1"),
    "16 bits": sixteen_bits,
    "float": lambda image: saved(Image.fromarray(enlarged(image) / np.float32(255)), "TIFF", "F"),
    "turned by EXIF": turned_by_exif,
}


@pytest.mark.parametrize("form", FORMS)
def test_any_form_of_a_digit_becomes_what_it_was(form, digits, tmp_path):
    likeness = []
    for digit in digits:
        (tmp_path / "picture").write_bytes(FORMS[form](digit))
        prepared = prepare(picture.read(tmp_path / "picture", 1)[..., 0])
        assert (prepared.shape, prepared.dtype, prepared.max()) == ((28, 28), np.uint8, 255)
        # To within a pixel: the box of 20x20 is rounded once more.
        shifted = [np.roll(prepared, (y, x), (0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1)]
        likeness.append(max(np.corrcoef(each.ravel(), digit.ravel())[0, 1] for each in shifted))
    assert np.mean(likeness) > 0.9
    assert min(likeness) > 0.75


def test_all_test_images_are_left_as_they_are():
    assert all(is_prepared(image) for image in read_data().test.images[..., 0])


def test_a_digit_is_centred_by_its_mass_in_a_box_of_20():
    page = Image.new("L", (400, 300), 255)
    ImageDraw.Draw(page).line([(300, 20), (300, 260), (340, 260)], 0, 12)
    prepared = prepare(np.asarray(page)).astype(float)
    rows, columns = (np.flatnonzero(prepared.any(axis=axis)) for axis in (1, 0))
    assert rows[-1] - rows[0] + 1 == 20
    assert columns[-1] - columns[0] + 1 < 10
    for axis in (0, 1):
        mass = (prepared.sum(axis=1 - axis) @ np.arange(28)) / prepared.sum()
        assert abs(mass - 13.5) <= 0.5


@pytest.mark.parametrize("size", [120, 400, 1500, 4000])
def test_a_stroke_of_one_pixel_survives_in_a_picture_of_any_size(size):
    page = Image.new("L", (size, size), 0)
    ImageDraw.Draw(page).ellipse([0.3 * size, 0.2 * size, 0.7 * size, 0.8 * size], outline=255, width=1)
    prepared = prepare(np.asarray(page))
    assert prepared.max() == 255
    assert 0.08 < np.mean(prepared > 127) < 0.25  # of MNIST's images 0.05 to 0.2 are ink
    assert prepared[14, 14] == 0


def test_a_small_digit_on_a_large_page_is_seen_as_well_as_a_large_one(digits):
    for digit in digits[::5]:
        page = np.full((2400, 1800), 255, np.uint8)
        page[300:580, 900:1180] -= enlarged(digit)
        prepared, alone = prepare(page), prepare(255 - enlarged(digit))
        assert np.corrcoef(prepared.ravel(), alone.ravel())[0, 1] > 0.95


def test_dirt_and_shadows_at_the_edge_are_no_part_of_a_digit(digits):
    page = 255 - enlarged(digits[6])
    dirty = page.copy()
    dirty[20:24, 20:24] = 0
    dirty[:, :9] = 60
    assert np.corrcoef(prepare(page).ravel(), prepare(dirty).ravel())[0, 1] > 0.97


def grainy(size, grain):
    """An empty page that is lit from one side, with noise of this standard deviation."""
    light = np.linspace(120, 220, size)[:, np.newaxis]
    return (light + np.random.default_rng(0).normal(0, grain, (size, size))).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "page",
    [
        np.full((300, 200), 255, np.uint8),
        np.zeros((28, 28), np.uint8),
        np.full((1, 1), 9, np.uint8),
        np.tile(np.linspace(90, 220, 300).astype(np.uint8), (200, 1)),
        *(grainy(size, grain) for size in (28, 100, 500) for grain in (3, 8, 20)),
    ],
)
def test_an_empty_page_has_no_ink(page):
    with pytest.raises(UserError, match="no digit found: the contrast is too low"):
        prepare(page)


def test_a_picture_of_other_data_is_fitted_and_keeps_its_shape_and_colours():
    wide = np.full((50, 100), 40, np.uint8)
    wide[10:40, 20:80] = 200
    fitted = picture.fit(wide[..., np.newaxis], 28, 28)
    assert fitted.shape == (28, 28, 1)
    assert (fitted[:7] == 40).all()
    assert (fitted[11:17, 8:20] == 200).all()
    image = np.arange(784, dtype=np.uint8).reshape(28, 28, 1)
    assert picture.fit(image, 28, 28) is image
    colours = np.stack([wide, 255 - wide, wide // 2], axis=2)
    fitted = picture.fit(colours, 40, 20)
    assert fitted.shape == (40, 20, 3)
    assert (fitted[:14] == (40, 215, 20)).all()
    assert (fitted[18:21, 6:14] == (200, 55, 100)).all()
