"""Image files as arrays: what models learn from and what they predict are read by the same function.

The content of a file counts, not its ending. An image is turned upright as its EXIF orientation says. Transparent parts
show white. Of 16 bits per value the upper 8 are kept. Texts and colour profiles are ignored. Pillow's bilinear filter
resizes; if it makes an image smaller, it averages over all pixels. An image of the right size keeps its pixels.
"""

import io
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin  # noqa: F401 (Pillow loads others)

from study.base import files
from study.base.runtime import first_line, lack_of_memory, memory
from study.data.arrays import LEAST_BRIGHTEST
from study.params.resizing import Resizing

FORMATS = ("PNG", "JPEG", "WEBP")
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Chunks of a PNG file that are no part of the picture itself, and that change how it looks or say that it is animated.
PNG_CHUNKS = (b"tRNS", b"eXIf", b"acTL", b"fcTL", b"fdAT")
# What makes an image of each EXIF orientation upright; 1 is upright.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
MAX_PIXELS = memory() // 32  # the steps of `decode` take 16 bytes per pixel
MAX_BYTES = 4 * MAX_PIXELS  # of a file


class ImageError(Exception):
    """What is wrong with an image file, in words that follow its name."""


def read(source: Path | BinaryIO, size: tuple[int, int], resizing: Resizing) -> np.ndarray:
    """The image in a file, or in what is left of an open one, as `decode` gives it."""
    try:
        if not isinstance(source, Path):
            return decode(source.read(MAX_BYTES + 1), size, resizing)
        if not source.is_file():  # a device or a pipe may never end
            raise ImageError("is no file" if source.exists() else files.broken_link(source) or "is missing")
        with source.open("rb") as file:
            return read(file, size, resizing)
    except OSError as error:
        raise ImageError(f"cannot be read ({error.strerror or first_line(error)})") from None


def decode(content: bytes, size: tuple[int, int], resizing: Resizing) -> np.ndarray:
    """(height, width, 3) uint8 of the bytes of a PNG, JPEG or WebP file; `size` is (height, width).

    Raises ImageError for other, broken, animated and huge images, and for those that leave most of 16 bits unused. The
    size is checked before pixels take memory.
    """
    if not content:
        raise ImageError("is empty")
    if left := files.left_by_git(content[: len(files.POINTER)]):
        raise ImageError(left)
    if len(content) > MAX_BYTES:
        raise ImageError(f"is larger than {MAX_BYTES / 1e6:.0f} MB")
    Image.MAX_IMAGE_PIXELS = None  # `_check` has a limit of its own
    try:
        with Image.open(io.BytesIO(_without_extras(content)), formats=FORMATS) as image:
            _check(image)
            _fit_transparent_colour(image)
            has_16_bits = any(str(tile.args).endswith(";16B") for tile in image.tile)
            image.load()
            rgb = _rgb(_upright(image))
            if has_16_bits:
                _check_range(rgb)
            return np.array(_resized(rgb, size, resizing))
    except Image.UnidentifiedImageError:
        raise ImageError("is no PNG, JPEG or WebP image, or a broken one") from None
    except ImageError:
        raise
    except Exception as error:  # Pillow raises many types
        raise ImageError(lack_of_memory(error) or f"cannot be decoded ({first_line(error)})") from None


def _without_extras(content: bytes) -> bytes:
    """A PNG file without texts, colour profiles and the like, which Pillow refuses if they are large or damaged."""
    if not content.startswith(PNG_SIGNATURE):
        return content
    kept, start = [PNG_SIGNATURE], len(PNG_SIGNATURE)
    while start < len(content):
        name = content[start + 4 : start + 8]
        end = start + 12 + int.from_bytes(content[start : start + 4])
        if name in PNG_CHUNKS or not name[:1].islower():  # a capital: needed to show the picture
            kept.append(content[start:end])
        start = end
    return b"".join(kept)


def _check(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError(f"has {width} x {height} pixels; this machine's memory allows {MAX_PIXELS / 1e6:.0f} million")
    if getattr(image, "is_animated", False) and image.format != "MPO":  # a JPEG of a camera, with previews behind it
        raise ImageError(f"is animated ({image.n_frames} frames); give one of its frames as a file")


def _check_range(image: Image.Image) -> None:
    """Raise ImageError if the 16 bits of a file hold values of 14 bits or fewer, of which the upper 8 show little."""
    brightest = max(high for _, high in image.getextrema())
    if brightest < LEAST_BRIGHTEST:
        raise ImageError(
            f"has 16 bits per value, but no value reaches {(brightest + 1) << 8} of 65536, so it would look "
            "almost black; scale its values to the whole range, or save it with 8 bits"
        )


def _fit_transparent_colour(image: Image.Image) -> None:
    """Give the one transparent colour of a PNG file of 2, 4 or 16 bits the values that Pillow gives to its pixels."""
    if image.format != "PNG" or (colour := image.info.get("transparency")) is None or not image.tile:
        return
    match image.tile[0].args:
        case "L;2" | "L;4" as mode:
            image.info["transparency"] = colour * {"L;2": 85, "L;4": 17}[mode]
        case "RGB;16B":  # the upper 8 bits
            image.info["transparency"] = tuple(value >> 8 for value in colour)


def _upright(image: Image.Image) -> Image.Image:
    """The image turned as its orientation says. `ImageOps.exif_transpose` gives up if another entry is unfit."""
    try:
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except MemoryError:
        raise
    except Exception:  # EXIF that cannot be read says nothing; Pillow raises many types
        turn = None
    return image if turn is None else image.transpose(turn)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        values = np.asarray(image)
        grey = Image.fromarray((values >> 8).astype(np.uint8))
        if (transparent := image.info.get("transparency")) is not None:  # one value of 16 bits
            grey.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
        image = grey
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _resized(image: Image.Image, size: tuple[int, int], resizing: Resizing) -> Image.Image:
    height, width = size
    if resizing == "stretch":
        return image.resize((width, height), Image.Resampling.BILINEAR)
    scale = min(width / image.width, height / image.height)
    inner = image.resize(
        (max(1, round(scale * image.width)), max(1, round(scale * image.height))), Image.Resampling.BILINEAR
    )
    padded = Image.new("RGB", (width, height))
    padded.paste(inner, ((width - inner.width) // 2, (height - inner.height) // 2))
    return padded
