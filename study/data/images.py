"""Image files as arrays: what models learn from and what they predict are read by the same function.

An image is turned upright as its EXIF orientation says. Transparent parts show white. Of 16 bits per value the upper 8
are kept. Colour profiles are ignored. Pillow's bilinear filter resizes; where it makes an image smaller, it averages
over all pixels. An image of the right size keeps its pixels.
"""

import contextlib
import io
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, JpegImagePlugin, PngImagePlugin, WebPImagePlugin  # noqa: F401 (Pillow loads others)

from study.params.fit import Fit
from study.runtime import first_line, lack_of_memory

FORMATS = ("PNG", "JPEG", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")  # of their files, in lower case
MAX_PIXELS = 89_478_485  # Pillow's own limit: 268 MB in RGB
MAX_BYTES = 4 * MAX_PIXELS  # of a file


class ImageError(Exception):
    """What is wrong with an image file, in words that follow its name."""


def read(source: Path | BinaryIO, size: tuple[int, int], fit: Fit) -> np.ndarray:
    """The image in a file, or in what is left of an open one, as `decode` gives it."""
    try:
        if not isinstance(source, Path):
            return decode(source.read(MAX_BYTES + 1), size, fit)
        if not source.is_file():  # a device or a pipe may never end
            raise ImageError("is no file" if source.exists() else "is missing")
        with source.open("rb") as file:
            return read(file, size, fit)
    except OSError as error:
        raise ImageError(f"cannot be read ({error.strerror or first_line(error)})") from None


def decode(content: bytes, size: tuple[int, int], fit: Fit) -> np.ndarray:
    """(height, width, 3) uint8 of the bytes of a PNG, JPEG or WebP file; `size` is (height, width).

    Raises ImageError for other, broken, animated and huge images. The size is checked before pixels take memory.
    """
    if not content:
        raise ImageError("is empty")
    if len(content) > MAX_BYTES:
        raise ImageError(f"is larger than {MAX_BYTES / 1e6:.0f} MB")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            _check(image)
            image.load()
            return np.array(_fitted(_rgb(_upright(image)), size, fit))
    except Image.UnidentifiedImageError:
        raise ImageError("is no PNG, JPEG or WebP image, or a broken one") from None
    except Image.DecompressionBombError:
        raise ImageError(f"has too many pixels; allowed: {MAX_PIXELS / 1e6:.0f} million") from None
    except ImageError:
        raise
    except Exception as error:  # Pillow raises many types
        raise ImageError(lack_of_memory(error) or f"is broken ({first_line(error)})") from None


def _check(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError(f"has {width} x {height} pixels; allowed: {MAX_PIXELS / 1e6:.0f} million")
    if getattr(image, "is_animated", False) and image.format != "MPO":  # a JPEG of a camera, with previews behind it
        raise ImageError(f"is animated ({image.n_frames} frames); give one of its frames as a file")


def _upright(image: Image.Image) -> Image.Image:
    with contextlib.suppress(Exception):  # EXIF that cannot be read says nothing
        return ImageOps.exif_transpose(image)
    return image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _fitted(image: Image.Image, size: tuple[int, int], fit: Fit) -> Image.Image:
    height, width = size
    if fit == "stretch":
        return image.resize((width, height), Image.Resampling.BILINEAR)
    scale = min(width / image.width, height / image.height)
    inner = image.resize(
        (max(1, round(scale * image.width)), max(1, round(scale * image.height))), Image.Resampling.BILINEAR
    )
    padded = Image.new("RGB", (width, height))
    padded.paste(inner, ((width - inner.width) // 2, (height - inner.height) // 2))
    return padded
