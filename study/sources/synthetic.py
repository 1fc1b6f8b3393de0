"""A data set drawn by code: ten shapes with clutter and noise, 32 × 32 pixels. Colours say nothing about the class.

Every shape but the crescent is given in polar form, r(θ) = its outline at angle θ for a circumradius of 1, so that all
images of a class are drawn at once. Each is symmetric about its upright axis, from which it is turned as far to the
left as to the right: flipping keeps the label.
"""

import colorsys
import io

import numpy as np
from PIL import Image

SIDE = 32
# Brightness in HSV, lowest and highest: one of the shape, the other of its background.
DARK, LIGHT = (0.2, 0.5), (0.65, 0.95)
CLUTTER = 3  # blobs behind the shape
LEAST = 5  # images of a class that are no planted fault: one of them may get a copy under another label
QUALITIES = (50, 90)  # of JPEG, lowest and highest, for copies that are encoded again
CLASS_NAMES = ["disk", "ring", "square", "frame", "triangle", "pentagon", "star", "cross", "flower", "crescent"]


def draw(
    train_images: int,
    test_images: int,
    noise: float,
    duplicates: int,
    leaks: int,
    near_duplicates: int,
    near_leaks: int,
    seed: int,
) -> dict[str, np.ndarray]:
    """Both splits: x_train, x_test (N, 32, 32, 3) uint8, y_train, y_test (N,) uint8, class_names (10,) str.

    The last training images are planted faults, in the order of `planted`: copies of test images, near-duplicates of
    these, near-duplicates of earlier training images, and copies of them, one under another label. Of the others, every
    class has LEAST or more.
    """
    rng = np.random.default_rng(seed)
    x_test, y_test = _images(test_images, noise, rng)
    counts = {"leaks": leaks, "near_leaks": near_leaks, "near_duplicates": near_duplicates, "duplicates": duplicates}
    rows = planted(train_images, **counts)
    own = train_images - sum(counts.values())
    x_train, y_train = _images(train_images, noise, rng, own)
    for fault in counts:
        source, labels = (x_test, y_test) if fault.endswith("leaks") else (x_train[:own], y_train[:own])
        chosen = rng.choice(len(labels), counts[fault], replace=False)
        copies = source[chosen]
        x_train[rows[fault]] = _near_copies(copies, rng) if fault.startswith("near") else copies
        y_train[rows[fault]] = labels[chosen]
    if duplicates:
        y_train[-1] = (y_train[-1] + 1) % len(CLASS_NAMES)
    return {
        "x_train": x_train,
        "y_train": y_train,
        "x_test": x_test,
        "y_test": y_test,
        "class_names": np.array(CLASS_NAMES),
    }


def planted(train_images: int, **counts: int) -> dict[str, slice]:
    """The rows of the training images that hold these `counts` of faults, one kind after the other at the end."""
    starts = train_images - np.cumsum(list(counts.values())[::-1])[::-1]
    return {fault: slice(start, start + counts[fault]) for fault, start in zip(counts, starts.tolist(), strict=True)}


def mirrored(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return image[:, ::-1].copy()


def encoded(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image (H, W, 3) uint8 as a JPEG of some quality shows it."""
    content = io.BytesIO()
    Image.fromarray(image).save(content, "JPEG", quality=int(rng.integers(*QUALITIES, endpoint=True)))
    return np.asarray(Image.open(content))


NEAR_COPIES = (mirrored, encoded)  # by turns


def _near_copies(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    copies = [NEAR_COPIES[row % len(NEAR_COPIES)](image, rng) for row, image in enumerate(images)]
    return np.reshape(copies, images.shape).astype(np.uint8)


def _images(
    count: int, noise: float, rng: np.random.Generator, kept: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels; if only the first `kept` of them stay, these have LEAST or more of every class."""
    labels = rng.permutation(np.arange(count) % len(CLASS_NAMES)).astype(np.uint8)
    while kept is not None and np.bincount(labels[:kept], minlength=len(CLASS_NAMES)).min() < LEAST:
        labels = rng.permutation(labels)
    is_dark = rng.random(count) < 0.5
    images = _background(_colours(~is_dark, rng), _colours(~is_dark, rng), rng)
    for _ in range(CLUTTER):
        radius, colour = rng.uniform(1.5, 4.0, count), _colours(rng.random(count) < 0.5, rng)
        distance, _ = _polar(count, rng, spread=14.0, turn=np.pi, stretch=0.5)
        _paint(images, radius[:, None, None] - distance, colour, opacity=0.8)
    colour = _colours(is_dark, rng)
    radius = rng.uniform(9.0, 13.0, count)
    distance, angle = _polar(count, rng, spread=4.0, turn=0.36, stretch=0.15)
    for label in range(len(CLASS_NAMES)):
        rows = labels == label
        scaled = distance[rows] / radius[rows, None, None]
        inside = _inside(CLASS_NAMES[label], scaled, angle[rows]) * radius[rows, None, None]
        painted = images[rows]
        _paint(painted, inside, colour[rows], opacity=0.9)
        images[rows] = painted
    images += rng.normal(0.0, noise, images.shape)
    return np.clip(np.rint(images), 0, 255).astype(np.uint8), labels


def _background(start: np.ndarray, end: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A linear gradient in a random direction between two colours (N, 3), (N, 32, 32, 3) float64."""
    direction = rng.uniform(0, 2 * np.pi, len(start))[:, None, None]
    rows, columns = np.mgrid[:SIDE, :SIDE] / (SIDE - 1) - 0.5
    share = 0.5 + 0.7 * (np.cos(direction) * rows + np.sin(direction) * columns)
    return start[:, None, None] + share[..., None] * (end - start)[:, None, None]


def _colours(is_dark: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """RGB colours of random hue and saturation, (N, 3) float64 in 0 .. 255; `is_dark` (N,) bool."""
    hue, saturation = rng.random(len(is_dark)), rng.uniform(0.15, 0.75, len(is_dark))
    brightness = np.where(is_dark, rng.uniform(*DARK, len(is_dark)), rng.uniform(*LIGHT, len(is_dark)))
    return 255.0 * np.array([colorsys.hsv_to_rgb(*row) for row in zip(hue, saturation, brightness, strict=True)])


def _polar(
    count: int, rng: np.random.Generator, spread: float, turn: float, stretch: float
) -> tuple[np.ndarray, np.ndarray]:
    """Distance in pixels and angle of every pixel from a random centre: two (N, 32, 32).

    The axes are turned by up to `turn` to either side, and stretched. An angle of 0 points up.
    """
    centre = rng.uniform(-spread, spread, (2, count))[..., None, None]
    turned = rng.uniform(-turn, turn, count)[:, None, None]
    ratio = np.exp(rng.uniform(-stretch, stretch, count))[:, None, None]
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    up, right = centre[0] - rows, columns - centre[1]
    u, v = np.cos(turned) * up + np.sin(turned) * right, (np.cos(turned) * right - np.sin(turned) * up) * ratio
    return np.hypot(u, v), np.arctan2(v, u)


def _inside(name: str, r: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """How far a pixel lies inside the outline (negative: outside), in circumradii."""
    match name:
        case "disk":
            return 0.85 - r
        case "ring":
            return np.minimum(0.95 - r, r - 0.55)
        case "square":
            return _square(angle) - r
        case "frame":
            return np.minimum(_square(angle) - r, r - 0.6 * _square(angle))
        case "triangle":
            return 1.1 * _polygon(3, angle) - r
        case "pentagon":
            return 0.95 * _polygon(5, angle) - r
        case "star":
            return 0.42 + 0.58 * np.abs(1 - (5 * angle / np.pi) % 2) ** 1.5 - r
        case "cross":
            x, y = np.abs(r * np.cos(angle)), np.abs(r * np.sin(angle))
            return np.minimum(0.95 - np.maximum(x, y), 0.32 - np.minimum(x, y))
        case "flower":
            return 0.75 + 0.22 * np.cos(4 * angle) - r
        case "crescent":
            other = np.hypot(r * np.cos(angle) - 0.5, r * np.sin(angle))
            return np.minimum(0.95 - r, other - 0.75)
    raise ValueError(name)


def _square(angle: np.ndarray) -> np.ndarray:
    """Outline of a square that stands on a side."""
    return _polygon(4, angle + np.pi / 4)


def _polygon(sides: int, angle: np.ndarray) -> np.ndarray:
    """Outline of a regular polygon of circumradius 1 in polar form, one corner up."""
    half = np.pi / sides
    return np.cos(half) / np.cos(angle % (2 * half) - half)


def _paint(images: np.ndarray, inside: np.ndarray, colour: np.ndarray, opacity: float) -> None:
    """Blend `colour` (N, 3) in place into the pixels that lie inside, one pixel of edge smoothed."""
    cover = opacity * np.clip(inside + 0.5, 0, 1)[..., None]
    images += cover * (colour[:, None, None] - images)
