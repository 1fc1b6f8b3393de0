"""An image file of any kind becomes RGB of the asked size, and one that cannot is refused by what is wrong with it."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from study.params.resizing import RESIZINGS, Resizing
from study.sources import decoding
from study.sources.decoding import ImageError

SIZE = (32, 32)
PIXELS = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
PICTURE = Image.fromarray(PIXELS)
# Four colours, one per corner of an image that is wider than high.
CORNERS = Image.fromarray(
    np.kron(np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]]]), np.ones((8, 12, 1))).astype(np.uint8)
)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def decoded(content: bytes, resizing: Resizing = "stretch") -> np.ndarray:
    return decoding.decode(content, SIZE, resizing)


@pytest.mark.parametrize("resizing", RESIZINGS)
@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True})], ids=["png", "webp"])
def test_an_image_of_the_size_keeps_its_pixels(kind, options, resizing):
    np.testing.assert_array_equal(decoded(encoded(PICTURE, kind, **options), resizing), PIXELS)


MODES = {
    "black and white": ("1", "PNG"),
    "grey png": ("L", "PNG"),
    "grey jpeg": ("L", "JPEG"),
    "palette": ("P", "PNG"),
    "cmyk": ("CMYK", "JPEG"),
    "grey and alpha": ("LA", "PNG"),
    "alpha png": ("RGBA", "PNG"),
    "alpha webp": ("RGBA", "WEBP"),
}


@pytest.mark.parametrize(("mode", "kind"), MODES.values(), ids=MODES)
def test_every_mode_becomes_rgb(mode, kind):
    smooth = PICTURE.resize((8, 8)).resize((64, 48))
    found = decoded(encoded(smooth.convert(mode), kind))
    expected = np.asarray(smooth.convert(mode).convert("RGB").resize((32, 32), Image.Resampling.BILINEAR))
    assert (found.shape, found.dtype) == ((32, 32, 3), np.uint8)
    assert np.abs(found.astype(int) - expected).mean() < 6  # JPEG and WebP lose a little


def test_of_16_bits_the_upper_8_are_kept():
    values = np.arange(32 * 32, dtype=np.uint16).reshape(32, 32) * 64
    found = decoded(encoded(Image.fromarray(values), "PNG"))
    np.testing.assert_array_equal(found, np.stack([values >> 8] * 3, axis=-1))


def chunk(name: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + name + content + zlib.crc32(name + content).to_bytes(4, "big")


def png(bits: int, kind: int, pixels: bytes, *chunks: bytes, width: int = 8, height: int = 1) -> bytes:
    """A PNG of one grey (kind 0), RGB (2) or palette (3) row."""
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([bits, kind, 0, 0, 0])
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", zlib.compress(pixels)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def deep(bits: int, kind: int = 0, alpha: bytes = b"") -> bytes:
    """A PNG of 16 bits per value, all of them the largest of `bits` bits (kind 0: grey, 2: RGB, +4: alpha)."""
    value = (2**bits - 1).to_bytes(2, "big")
    return png(16, kind, b"\0" + 8 * ((3 if kind & 2 else 1) * value + alpha))


FAINT = {
    "8 bits": (deep(8), 256),
    "10 bits": (deep(10), 1024),
    "12 bits": (deep(12), 4096),
    "14 bits": (deep(14), 16384),
    "12 bits in colour": (deep(12, 2), 4096),
    "12 bits of grey with alpha": (deep(12, 4, b"\xff\xff"), 4096),
    "12 bits in colour with alpha": (deep(12, 6, b"\xff\xff"), 4096),
}


@pytest.mark.parametrize(("content", "end"), FAINT.values(), ids=FAINT)
def test_fewer_bits_in_a_file_of_16_are_refused_with_their_range(content, end):
    with pytest.raises(ImageError, match=f"^has 16 bits per value, but no value reaches {end} of 65536, so it would"):
        decoded(content)


def test_an_image_of_8_bits_may_be_dark():
    assert decoded(encoded(Image.new("L", (8, 8), 13), "PNG")).max() == 13


LARGE = zlib.compress(bytes(70_000_000))
BESIDE = {
    "a packed text": lambda: chunk(b"zTXt", b"k\0\0" + LARGE),
    "an international text": lambda: chunk(b"iTXt", b"k\0\1\0\0\0" + LARGE),
    "a text": lambda: chunk(b"tEXt", b"k\0" + 70_000_000 * b"x"),
    "a colour profile": lambda: chunk(b"iCCP", b"n\0\0" + LARGE),
    "a damaged note": lambda: chunk(b"prIv", b"x")[:-1] + b"x",
}


@pytest.mark.parametrize("beside", BESIDE.values(), ids=BESIDE)
def test_a_picture_is_whole_whatever_stands_beside_it_in_the_file(beside):
    row = b"\0" + 24 * b"\x80"
    np.testing.assert_array_equal(decoded(png(8, 2, row, beside())), decoded(png(8, 2, row)))


def tRNS(*values: int) -> bytes:  # noqa: N802 (the name of the chunk)
    return chunk(b"tRNS", b"".join(value.to_bytes(2, "big") for value in values))


TRANSPARENT = {
    "alpha": lambda: encoded(Image.new("RGBA", (9, 9), (10, 20, 30, 0)), "PNG"),
    "grey and alpha": lambda: encoded(Image.new("LA", (9, 9), (10, 0)), "PNG"),
    "a transparent colour": lambda: encoded(Image.new("RGB", (9, 9), (10, 20, 30)), "PNG", transparency=(10, 20, 30)),
    "a transparent colour of a palette": lambda: encoded(Image.new("RGB", (9, 9)).quantize(), "PNG", transparency=0),
    "webp": lambda: encoded(Image.new("RGBA", (9, 9), (10, 20, 30, 0)), "WEBP", lossless=True),
    "a transparent grey of 1 bit": lambda: png(1, 0, b"\0\0", tRNS(0)),
    "a transparent grey of 2 bits": lambda: png(2, 0, b"\0\x55\x55", tRNS(1)),
    "a transparent grey of 4 bits": lambda: png(4, 0, b"\0" + 4 * b"\x33", tRNS(3)),
    "a transparent grey of 8 bits": lambda: png(8, 0, b"\0" + 8 * b"\x33", tRNS(0x33)),
    "a transparent grey of 16 bits": lambda: png(16, 0, b"\0" + 8 * b"\x10\x20", tRNS(0x1020)),
    "a transparent colour of 16 bits": lambda: png(16, 2, b"\0" + 24 * b"\x10\x20", tRNS(*3 * [0x1020])),
    "alpha of 16 bits": lambda: png(16, 6, b"\0" + 8 * (3 * b"\x10\x20" + b"\0\0")),
    "grey and alpha of 16 bits": lambda: png(16, 4, b"\0" + 8 * b"\x10\x20\0\0"),
}


@pytest.mark.parametrize("content", TRANSPARENT.values(), ids=TRANSPARENT)
def test_transparent_parts_show_white(content):
    assert (decoded(content()) == 255).all()


FAITHFUL = {"PNG": {}, "JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}
# What a viewer does for each EXIF orientation, by NumPy.
UPRIGHT = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).transpose(1, 0, 2),
    8: lambda pixels: np.rot90(pixels),
}


@pytest.mark.parametrize("kind", FAITHFUL)
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_an_image_is_turned_as_its_orientation_says(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(CORNERS, kind, exif=exif, **FAITHFUL[kind])
    upright = Image.fromarray(np.ascontiguousarray(UPRIGHT[orientation](np.asarray(CORNERS))))
    expected = decoded(encoded(upright, "PNG"))
    assert np.abs(decoded(content).astype(int) - expected).mean() < 6


def test_of_16_bits_only_the_transparent_grey_shows_white():
    found = decoded(png(16, 0, b"\0" + 4 * b"\x10\x20" + 4 * b"\x10\x21", tRNS(0x1020)))
    assert found[16, [2, 29]].tolist() == [[255] * 3, [16] * 3]


# Entries that ImageOps.exif_transpose cannot write again: the tag, the type, the value of 4 bytes.
ODD = {
    "XMP as text": (0x02BC, 2, b"abc\0"),
    "a signed resolution": (0x011A, 9, b"\xff\xff\xff\xff"),
    "a width as text": (0x0100, 2, b"abc\0"),
    "a date as a number": (0x0132, 11, b"\0\0\x80\x3f"),
    "a tag that nobody knows": (0xFEDC, 11, b"\xff\xff\xff\xff"),
}


@pytest.mark.parametrize(("tag", "kind", "value"), ODD.values(), ids=ODD)
def test_an_image_is_turned_whatever_else_its_exif_holds(tag, kind, value):
    orientation = (0x0112).to_bytes(2, "little") + b"\x03\0\x01\0\0\0\x06\0\0\0"
    odd = tag.to_bytes(2, "little") + kind.to_bytes(2, "little") + b"\x01\0\0\0" + value
    if kind == 2:
        odd = odd[:4] + b"\x04\0\0\0" + value
    exif = b"Exif\0\0II*\0\x08\0\0\0\x02\0" + b"".join(sorted([orientation, odd], key=lambda entry: entry[1::-1]))
    found = decoded(encoded(CORNERS, "JPEG", exif=exif + b"\0\0\0\0", **FAITHFUL["JPEG"]))
    upright = Image.fromarray(np.ascontiguousarray(UPRIGHT[6](np.asarray(CORNERS))))
    assert np.abs(found.astype(int) - decoded(encoded(upright, "PNG"))).mean() < 6


def test_a_lack_of_memory_while_an_image_is_turned_is_named(monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(CORNERS, "JPEG", exif=exif)
    for refused in ("transpose", "getexif"):
        with monkeypatch.context() as patched:
            patched.setattr(Image.Image, refused, lambda *_: (_ for _ in ()).throw(MemoryError))
            with pytest.raises(ImageError, match="^out of memory$"):
                decoded(content)


@pytest.mark.parametrize("kind", FAITHFUL)
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff"], ids=["no EXIF", "cut EXIF"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_turns_nothing(exif, kind):
    content = encoded(CORNERS, kind, exif=exif, **FAITHFUL[kind])
    assert np.abs(decoded(content).astype(int) - decoded(encoded(CORNERS, "PNG"))).mean() < 6


PADDED = {"wide": ((64, 16), (slice(12, 20), slice(None))), "high": ((16, 64), (slice(None), slice(12, 20)))}


@pytest.mark.parametrize(("shape", "inner"), PADDED.values(), ids=PADDED)
def test_padded_images_keep_their_proportions_between_black_bars(shape, inner):
    found = decoded(encoded(Image.new("RGB", shape, "white"), "PNG"), "pad")
    expected = np.zeros((32, 32, 3), np.uint8)
    expected[inner] = 255
    np.testing.assert_array_equal(found, expected)


def test_a_line_of_pixels_still_shows_when_it_is_padded():
    assert decoded(encoded(Image.new("RGB", (5000, 1), "white"), "PNG"), "pad").any(axis=(1, 2)).sum() == 1


def test_a_larger_image_is_averaged_over_all_its_pixels():
    stripes = np.tile(np.array([0, 255], np.uint8), (256, 128))
    found = decoded(encoded(Image.fromarray(stripes), "PNG"))
    assert np.abs(found.astype(int) - 127).max() <= 8


def test_the_picture_of_a_camera_with_previews_behind_it_is_its_first():
    content = encoded(CORNERS, "MPO", save_all=True, append_images=[PICTURE], **FAITHFUL["JPEG"])
    assert np.abs(decoded(content).astype(int) - decoded(encoded(CORNERS, "PNG"))).mean() < 6


def png_of(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no pixels."""
    return png(8, 2, b"", width=width, height=height)


def frames(kind: str) -> bytes:
    return encoded(PICTURE, kind, save_all=True, append_images=[CORNERS.resize((32, 32))])


REFUSED = {
    "no byte": (lambda: b"", "is empty"),
    "text": (lambda: b"hello", "is no PNG, JPEG or WebP image, or a broken one"),
    "a gif": (lambda: encoded(PICTURE, "GIF"), "is no PNG, JPEG or WebP image"),
    "an animated gif": (lambda: frames("GIF"), "is no PNG, JPEG or WebP image"),
    "an animated png": (lambda: frames("PNG"), "is animated (2 frames); give one of its frames as a file"),
    "an animated webp": (lambda: frames("WEBP"), "is animated (2 frames)"),
    "a cut png": (lambda: encoded(PICTURE, "PNG")[:-400], "cannot be decoded (image file is truncated)"),
    "a cut jpeg": (lambda: encoded(PICTURE, "JPEG")[:-400], "cannot be decoded (image file is truncated"),
    "a cut webp": (lambda: encoded(PICTURE, "WEBP")[:-400], "cannot be decoded ("),
    "only a header": (lambda: encoded(PICTURE, "PNG")[:20], "cannot be decoded (Truncated File Read)"),
    "no pixel": (lambda: png_of(0, 9), "is "),
}


@pytest.mark.parametrize(("content", "fault"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_single_whole_image_is_refused(content, fault):
    with pytest.raises(ImageError) as error:
        decoded(content())
    assert str(error.value).startswith(fault)


@pytest.mark.parametrize("side", [20_000, 60_000])
def test_an_image_beyond_memory_is_refused_before_its_pixels_take_any(monkeypatch, side):
    monkeypatch.setattr(decoding, "MAX_PIXELS", 250 * 10**6)
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("pixels were read"))
    with pytest.raises(ImageError, match=f"^has {side} x {side} pixels; this machine's memory allows 250 million$"):
        decoded(png_of(side, side))


def test_an_image_of_100_megapixels_is_read():
    assert (decoded(encoded(Image.new("L", (10_000, 10_000), 200), "PNG", compress_level=1)) == 200).all()


def test_a_file_that_is_larger_than_any_image_is_read_no_further(monkeypatch):
    monkeypatch.setattr(decoding, "MAX_BYTES", 1000)
    file = io.BytesIO(b"x" * 5000)
    with pytest.raises(ImageError, match="is larger than 0 MB"):
        decoding.read(file, SIZE, "stretch")
    assert file.tell() == 1001


NO_FILES = {
    "a missing file": ("nope.png", "is missing"),
    "a device": ("/dev/zero", "is no file"),
    "a folder": (".", "is no"),
}


@pytest.mark.parametrize(("name", "fault"), NO_FILES.values(), ids=NO_FILES)
def test_what_is_no_file_is_refused(tmp_path, name, fault):
    with pytest.raises(ImageError, match=fault):
        decoding.read(tmp_path / name, SIZE, "stretch")
