"""Data come from where data.source says, checked against their hash; every way it can fail ends in one line."""

import hashlib
import http.server
import socket
import threading

import numpy as np
import pytest

from stages import download
from stages.lib import errors, files
from stages.lib.errors import UserError


@pytest.fixture
def archive(tmp_path):
    """A small fit archive, and its SHA-256."""
    path = tmp_path / "own.npz"
    rng = np.random.default_rng(0)
    x_train, x_test = rng.integers(0, 256, (6, 8, 8, 3)), rng.integers(0, 256, (2, 8, 8, 3))
    labels = {"y_train": np.array([0, 1] * 3), "y_test": np.array([0, 1])}
    files.write_npz(path, x_train=x_train.astype(np.uint8), x_test=x_test.astype(np.uint8), **labels)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def server(tmp_path, monkeypatch):
    """An http server on loopback: /good gives own.npz, /half breaks off, /missing is 404,
    /broken 500, /slow never answers."""
    import keras

    (tmp_path / "home").mkdir()
    monkeypatch.setattr(keras.src.utils.file_utils.config, "keras_home", lambda: str(tmp_path / "home"))
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
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}"
    stop.set()
    running.shutdown()
    thread.join()
    running.server_close()


def test_a_local_archive_is_read(archive):
    path, sha256 = archive
    assert download.npz(str(path), sha256)["x_train"].shape == (6, 8, 8, 3)


def test_an_archive_of_another_hash_is_refused(archive):
    with pytest.raises(UserError, match="has SHA-256 .* allows 000"):
        download.npz(str(archive[0]), "0" * 64)


def test_a_missing_archive_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.npz is no file"):
        download.npz(str(tmp_path / "none.npz"), "0" * 64)


def test_an_archive_without_an_array_is_refused(tmp_path):
    files.write_npz(tmp_path / "a.npz", x_train=np.zeros(3))
    sha256 = hashlib.sha256((tmp_path / "a.npz").read_bytes()).hexdigest()
    with pytest.raises(UserError, match="has no array y_train; found: x_train"):
        download.npz(str(tmp_path / "a.npz"), sha256)


def test_an_archive_is_downloaded_once(archive, server):
    url, sha256 = f"{server}/good", archive[1]
    first = download.npz(url, sha256)
    archive[0].unlink()
    again = download.npz(url, sha256)
    assert np.array_equal(first["x_train"], again["x_train"])


@pytest.mark.parametrize("page", ["missing", "broken", "half", "slow", "good"])
def test_a_download_that_fails_is_refused_in_one_line_and_is_not_in_the_way_later(archive, server, page):
    socket.setdefaulttimeout(1)
    try:
        with pytest.raises(UserError, match="cannot be downloaded") as error:
            download.npz(f"{server}/{page}", archive[1] if page != "good" else "0" * 64)
    finally:
        socket.setdefaulttimeout(None)
    assert "\n" not in str(error.value)
    assert download.npz(f"{server}/good", archive[1])  # what may be left of it is not taken for the file


def test_a_stage_waits_for_a_server_only_so_long():
    seen = []
    try:
        errors.run(lambda: seen.append(socket.getdefaulttimeout()))
    finally:
        socket.setdefaulttimeout(None)
    assert seen == [errors.NETWORK_TIMEOUT_SECONDS]


def test_cifar10_comes_from_keras_with_its_class_names(monkeypatch):
    import keras

    split = (np.zeros((10, 32, 32, 3), np.uint8), np.arange(10, dtype=np.uint8)[:, None])
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", lambda: (split, split))
    arrays = download.cifar10()
    assert arrays["class_names"].tolist()[3] == "cat"
    assert arrays["y_train"].shape == (10, 1)


def test_cifar10_without_a_network_says_what_to_do(monkeypatch):
    import keras

    def offline():
        raise Exception("URL fetch failure on https://example.invalid: None -- Name or service not known")

    monkeypatch.setattr(keras.datasets.cifar10, "load_data", offline)
    with pytest.raises(UserError, match="cannot be downloaded .* set data.source to npz"):
        download.cifar10()
