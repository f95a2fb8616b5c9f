"""Files of pictures: one as an array, and fitted to the size of a data set's images."""

import contextlib
import os
import stat
import unicodedata
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from lenet.data.pixels import resized
from lenet.errors import UserError
from lenet.system.streams import silenced_stderr

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif")  # of the files that a folder is read for
MAXIMUM_PIXELS, MAXIMUM_SIDE = 80_000_000, 30_000


def read(path: Path, channels: int) -> np.ndarray:
    """Return a picture as uint8 [height, width, channels], in grey or in colour; UserError says why it cannot be."""
    with _open(path) as picture:
        upright = ImageOps.exif_transpose(picture)
        return _grey(upright)[..., np.newaxis] if channels == 1 else _colour(upright)


def look(path: Path) -> tuple[int, int, bool]:
    """Return height, width, and whether it may be in colour, from the file's header; UserError as in `read`."""
    with _open(path) as picture:
        width, height = picture.size
        # In other formats the header does not say how a picture is turned.
        if picture.format in ("JPEG", "TIFF", "WEBP") and picture.getexif().get(ExifTags.Base.Orientation, 1) > 4:
            width, height = height, width
        return height, width, not picture.mode.startswith(("1", "L", "I", "F"))


def is_picture(name: str) -> bool:
    """Whether a file's name ends as a picture's does."""
    return name.lower().endswith(ENDINGS)


def as_text(name: str) -> str:
    """Return a file's name as text, the same on every system. Bytes that are not UTF-8 become U+FFFD."""
    return name if name.isascii() else unicodedata.normalize("NFC", os.fsencode(name).decode(errors="replace"))


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """While it is entered, libraries print and warn nothing about damaged files."""
    with warnings.catch_warnings(action="ignore"), silenced_stderr():
        yield


@contextlib.contextmanager
def _open(path: Path) -> Iterator[Image.Image]:
    try:
        kind = path.stat().st_mode
        if stat.S_ISDIR(kind):
            raise UserError(f"no picture in this folder can be read; the formats are {', '.join(FORMATS)}")
        if not stat.S_ISREG(kind):  # opening a pipe would wait
            raise UserError("not a file")
        with Image.open(path, formats=FORMATS) as picture:
            if picture.width * picture.height > MAXIMUM_PIXELS or max(picture.size) > MAXIMUM_SIDE:
                raise Image.DecompressionBombError
            yield picture
    except UserError:
        raise
    except MemoryError:
        raise UserError("not enough memory for it") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):  # Pillow has a limit, too
        raise UserError(
            f"too large; at most {MAXIMUM_PIXELS:,} pixels and sides of {MAXIMUM_SIDE:,} are read"
        ) from None
    except UnidentifiedImageError:
        raise UserError(f"not a picture in one of the formats {', '.join(FORMATS)}") from None
    except FileNotFoundError:
        raise UserError("there is no such file or folder") from None
    except Exception as error:  # a damaged file can make a decoder raise anything
        raise UserError(f"cannot be read: {' '.join(str(error).split()) or type(error).__name__}") from None


def _grey(picture: Image.Image) -> np.ndarray:
    """Any mode -> uint8 [height, width]. What is transparent gets the opposite of the ink's tone."""
    if picture.mode.startswith(("I", "F")):  # 16 or 32 bits a pixel: to 8, 32 bits by the largest value
        values = np.nan_to_num(np.asarray(picture, np.float32)).clip(0)
        largest = max(float(values.max()), 1.0)
        if picture.mode.startswith("I;16") or 255 < largest <= 65535:
            largest = 65535
        return (values * (255 / largest)).round().astype(np.uint8)
    return np.asarray(_opaque(picture).convert("L"))


def _colour(picture: Image.Image) -> np.ndarray:
    """Any mode -> uint8 [height, width, 3], with transparency as in grey."""
    if picture.mode.startswith(("I", "F")):
        return np.repeat(_grey(picture)[..., np.newaxis], 3, axis=2)
    return np.asarray(_opaque(picture).convert("RGB"))


def _opaque(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture
    inked = picture.convert("RGBA")
    grey, alpha = np.asarray(inked.convert("L")), inked.getchannel("A")
    ink = np.average(grey, weights=np.asarray(alpha, np.float32) + 1e-6)
    paper = Image.new("RGB", inked.size, (0, 0, 0) if ink > 127 else (255, 255, 255))
    return Image.composite(inked.convert("RGB"), paper, alpha)


def fit(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return a picture, uint8 [any, any, channels], as uint8 [height, width, channels].

    Its shape is kept, and it is in the middle, on the median colour of its border.
    """
    old_height, old_width, channels = picture.shape
    if (old_height, old_width) == (height, width):
        return picture
    scale = min(height / old_height, width / old_width)
    tall, wide = max(1, round(old_height * scale)), max(1, round(old_width * scale))
    resized_channels = [resized(picture[..., channel], tall, wide) for channel in range(channels)]
    # A hair more than half rounds up, so that no machine's rounding decides.
    small = np.floor(np.stack(resized_channels, axis=2) + (0.5 + 1e-6)).clip(0, 255).astype(np.uint8)
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    image = np.empty((height, width, channels), np.uint8)
    image[:] = np.median(border, axis=0).astype(np.uint8)
    row, column = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
    image[row : row + small.shape[0], column : column + small.shape[1]] = small
    return image
