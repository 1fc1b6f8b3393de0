"""Data come from where data.source says, checked against their hash; every way it can fail ends in one line."""

import functools
import hashlib
import http.server
import socket
import threading
from pathlib import Path

import keras
import numpy as np
import pytest

from study import files
from study.data import sources
from study.params.schema import Data
from study.runtime import UserError


@pytest.fixture
def archive(tmp_path) -> tuple[Path, str]:
    """A small fit archive, and its SHA-256."""
    path = tmp_path / "own.npz"
    rng = np.random.default_rng(0)
    x_train, x_test = rng.integers(0, 256, (6, 8, 8, 3)), rng.integers(0, 256, (4, 8, 8, 3))
    labels = {"y_train": np.array([0, 1] * 3), "y_test": np.array([0, 1] * 2)}
    files.write_npz(path, x_train=x_train.astype(np.uint8), x_test=x_test.astype(np.uint8), **labels)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def server(tmp_path, monkeypatch):
    """An http server on loopback: /good gives own.npz, /half breaks off, /missing is 404, /broken 500, /slow never
    answers. Keras keeps downloads in a folder of the test's own."""
    kept = tmp_path / "keras"
    kept.mkdir()  # else Keras takes a folder outside tmp_path
    monkeypatch.setattr(keras.utils, "get_file", functools.partial(keras.utils.get_file, cache_dir=str(kept)))
    stop = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            content = (tmp_path / "own.npz").read_bytes()
            if self.path == "/slow":
                stop.wait(20)
                return
            self.send_response({"/missing": 404, "/broken": 500}.get(self.path, 200))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.path == "/good":
                self.wfile.write(content)
            elif self.path == "/half":
                self.wfile.write(content[: len(content) // 2])

        def log_message(self, *args):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}"
    stop.set()
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.fixture
def short_timeout():
    """Connections give up after a third of a second."""
    socket.setdefaulttimeout(0.3)
    yield
    socket.setdefaulttimeout(None)


def test_a_local_archive_is_read(archive):
    path, sha256 = archive
    assert sources.npz(str(path), sha256)["x_train"].shape == (6, 8, 8, 3)


def test_an_archive_of_another_hash_is_refused(archive):
    with pytest.raises(UserError, match="has SHA-256 .* allows 000"):
        sources.npz(str(archive[0]), "0" * 64)


def test_a_missing_archive_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.npz is no file"):
        sources.npz(str(tmp_path / "none.npz"), "0" * 64)


def test_an_archive_without_an_array_is_refused(tmp_path):
    files.write_npz(tmp_path / "a.npz", x_train=np.zeros(3))
    with pytest.raises(UserError, match="has no array y_train; found: x_train"):
        sources.npz(str(tmp_path / "a.npz"), files.sha256(tmp_path / "a.npz"))


def test_an_archive_is_downloaded_once(archive, server):
    path, sha256 = archive
    first = sources.npz(f"{server}/good", sha256)
    path.unlink()  # the server has it no more
    again = sources.npz(f"{server}/good", sha256)
    assert np.array_equal(first["x_train"], again["x_train"])


FAILURES = {
    "a page that is missing": ("missing", None),
    "a broken server": ("broken", None),
    "half a file": ("half", None),
    "no answer": ("slow", None),
    "another hash": ("good", "0" * 64),
}


@pytest.mark.parametrize(("page", "sha256"), FAILURES.values(), ids=FAILURES)
def test_a_download_that_fails_is_refused_in_one_line(archive, server, short_timeout, page, sha256):
    with pytest.raises(UserError, match="cannot be downloaded") as error:
        sources.npz(f"{server}/{page}", sha256 or archive[1])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("page", "sha256"), FAILURES.values(), ids=FAILURES)
def test_what_a_failed_download_left_is_not_taken_for_the_file(archive, server, short_timeout, page, sha256):
    with pytest.raises(UserError):
        sources.npz(f"{server}/{page}", sha256 or archive[1])
    assert sources.npz(f"{server}/good", archive[1])["x_train"].shape == (6, 8, 8, 3)


@pytest.fixture
def cifar10(monkeypatch) -> np.ndarray:
    """Thirty images in place of what Keras downloads; their labels (30, 1)."""
    labels = np.arange(30, dtype=np.uint8)[:, None] % 10
    split = (np.zeros((30, 32, 32, 3), np.uint8), labels)
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", lambda: (split, split))
    return labels


def test_cifar10_has_the_labels_that_keras_gives(cifar10):
    np.testing.assert_array_equal(sources.cifar10()["y_train"], cifar10)


def test_cifar10_comes_from_keras_with_its_class_names(cifar10):
    assert sources.cifar10()["class_names"].tolist()[3] == "cat"


def test_cifar10_without_a_network_says_what_to_do(monkeypatch):
    def offline():
        raise Exception("URL fetch failure on https://example.invalid: None -- Name or service not known")

    monkeypatch.setattr(keras.datasets.cifar10, "load_data", offline)
    with pytest.raises(UserError, match="cannot be downloaded .* set data.source to npz"):
        sources.cifar10()


@pytest.mark.parametrize("source", ["synthetic", "cifar10", "npz"])
def test_arrays_of_every_source_are_checked(params, archive, cifar10, source):
    path, sha256 = archive
    small = params.data.synthetic.model_copy(update={"train_images": 100, "test_images": 20})
    images = sources.get(Data(source=source, path=str(path), sha256=sha256, synthetic=small), seed=0)
    assert images["y_train"].ndim == 1
    assert sorted(images) == ["class_names", "x_test", "x_train", "y_test", "y_train"]
