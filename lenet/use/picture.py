"""Files of pictures, as they are and fitted to the size of a data set's images."""

import stat
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lenet.architecture import IMAGE_SIZE
from lenet.errors import UserError
from lenet.system.streams import silenced_stderr
from lenet.use.pixels import border, reduced, scaled

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
MAXIMUM_PIXELS, MAXIMUM_SIDE = 80_000_000, 30_000


def read(path: Path) -> np.ndarray:
    """Return a picture in grey, uint8 [height, width]; UserError says why it cannot be read."""
    try:
        kind = path.stat().st_mode
        if stat.S_ISDIR(kind):
            raise UserError(f"no picture in this folder can be read; the formats are {', '.join(FORMATS)}")
        if not stat.S_ISREG(kind):  # opening a pipe would wait
            raise UserError("not a file")
        with warnings.catch_warnings(action="ignore"), silenced_stderr(), Image.open(path, formats=FORMATS) as picture:
            if picture.width * picture.height > MAXIMUM_PIXELS or max(picture.size) > MAXIMUM_SIDE:
                raise Image.DecompressionBombError
            return _grey(ImageOps.exif_transpose(picture))
    except UserError:
        raise
    except Image.DecompressionBombError:  # Pillow has a limit, too
        raise UserError(
            f"too large; at most {MAXIMUM_PIXELS:,} pixels and sides of {MAXIMUM_SIDE:,} are read"
        ) from None
    except UnidentifiedImageError:
        raise UserError(f"not a picture in one of the formats {', '.join(FORMATS)}") from None
    except FileNotFoundError:
        raise UserError("there is no such file") from None
    except Exception as error:  # a damaged file can make a decoder raise anything
        raise UserError(f"cannot be read: {' '.join(str(error).split()) or type(error).__name__}") from None


def _grey(picture: Image.Image) -> np.ndarray:
    """Any mode -> uint8 [height, width]. What is transparent gets the opposite of the ink's tone."""
    if picture.mode.startswith(("I", "F")):  # 16 or 32 bits a pixel: to 8 by the largest value
        values = np.nan_to_num(np.asarray(picture, np.float32)).clip(0)
        largest = max(values.max(), 1.0)
        return (values * (255 / (65535 if 255 < largest <= 65535 else largest))).round().astype(np.uint8)
    if not picture.has_transparency_data:
        return np.asarray(picture.convert("L"))
    grey, alpha = picture.convert("RGBA").convert("LA").split()
    ink = np.average(np.asarray(grey), weights=np.asarray(alpha, np.float32) + 1e-6)
    return np.asarray(Image.composite(grey, Image.new("L", grey.size, 0 if ink > 127 else 255), alpha))


def fit(grey: np.ndarray) -> np.ndarray:
    """Return a picture, uint8 [height, width], as uint8 [28, 28]: its shape kept, on the tone of its border."""
    if grey.shape == (IMAGE_SIZE, IMAGE_SIZE):
        return grey
    small = scaled(reduced(grey, IMAGE_SIZE), IMAGE_SIZE).round().astype(np.uint8)
    image = np.full((IMAGE_SIZE, IMAGE_SIZE), np.median(border(grey, 1)), np.uint8)
    row, column = (np.array(image.shape) - small.shape) // 2
    image[row : row + small.shape[0], column : column + small.shape[1]] = small
    return image
