"""Data come from where data.source says, checked against their hash; every way it can fail ends in one line."""

import asyncio
import contextlib
import hashlib
import http.server
import threading
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from yarl import URL

from study.base import files
from study.base.runtime import UserError
from study.sources import download, images_of


@pytest.fixture
def archive(tmp_path) -> tuple[Path, str]:
    """A small fit archive, and its SHA-256."""
    path = tmp_path / "own.npz"
    rng = np.random.default_rng(0)
    x_train, x_test = rng.integers(0, 256, (6, 8, 8, 3)), rng.integers(0, 256, (4, 8, 8, 3))
    labels = {"y_train": np.array([0, 1] * 3), "y_test": np.array([0, 1] * 2)}
    files.write_npz(path, x_train=x_train.astype(np.uint8), x_test=x_test.astype(np.uint8), **labels)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


DRIP = b"one byte after the other" * 9


@pytest.fixture
def server(tmp_path, monkeypatch):
    """An http server on loopback whose pages are `PAGES` and /good, which gives own.npz. Downloads are kept in a
    folder of the test's own."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password hidden")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    stop = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.headers)
            content = (tmp_path / "own.npz").read_bytes()
            head = f"Content-Length: {len(content)}\r\n\r\n".encode()
            match self.path:
                case "/slow":
                    stop.wait(20)
                case "/slow-head":
                    self.drip(b"HTTP/1.1 200 OK\r\n" + DRIP)
                case "/slow-body":
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                    self.drip(DRIP)
                case "/endless":
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                    with contextlib.suppress(OSError):
                        while not stop.is_set():
                            self.wfile.write(content)
                case page:
                    self.wfile.write(b"HTTP/1.1 " + PAGES[page].replace(b"HEAD", head).replace(b"FILE", content))

        def drip(self, content: bytes) -> None:
            with contextlib.suppress(OSError):
                for byte in content:
                    self.wfile.write(bytes([byte]))
                    if stop.wait(0.1):
                        break

        def log_message(self, *args):
            pass

    requests: list[Mapping] = []
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    yield SimpleNamespace(url=f"http://127.0.0.1:{running.server_port}", requests=requests)
    stop.set()
    running.shutdown()
    thread.join()
    running.server_close()


PAGES = {
    "/good": b"200 OK\r\nHEADFILE",
    "/packed": b"200 OK\r\nContent-Encoding: gzip\r\nHEADFILE",
    "/missing": b"404 Not Found\r\n\r\n",
    "/broken": b"500 Error\r\n\r\n",
    "/escape": b"404 \x1b[2J\xe2\x80\xaeNot Found\r\n\r\n",
    "/half": b"200 OK\r\nHEADhalf",
    "/huge": b"200 OK\r\nContent-Length: 99999999999999\r\n\r\nFILE",
    "/moved": b"302 Found\r\nLocation: /good\r\n\r\n",
    "/loop": b"302 Found\r\nLocation: /loop\r\n\r\n",
    "/signed": b"302 Found\r\nLocation: /missing?signature=hidden\r\n\r\n",
    "/local": b"302 Found\r\nLocation: file:///etc/passwd\r\n\r\n",
    "/missing?signature=hidden": b"404 Not Found\r\n\r\n",
}


@pytest.fixture
def impatient(monkeypatch):
    """Downloads may take a third of a second more than their bytes, and 10 MB."""
    monkeypatch.setattr(download, "NETWORK_TIMEOUT_SECONDS", 0.3)
    monkeypatch.setattr(download, "memory", lambda: 10**7)


def test_a_local_archive_is_read(archive):
    path, sha256 = archive
    assert images_of.npz(str(path), sha256)["x_train"].shape == (6, 8, 8, 3)


def test_an_archive_may_lie_in_the_home_folder(archive, monkeypatch):
    monkeypatch.setenv("HOME", str(archive[0].parent))
    assert images_of.npz("~/own.npz", archive[1])["x_train"].shape == (6, 8, 8, 3)


def test_an_archive_of_another_hash_is_refused(archive):
    with pytest.raises(UserError, match="has SHA-256 .* allows 000"):
        images_of.npz(str(archive[0]), "0" * 64)


def test_a_missing_archive_is_named_with_the_folder_that_was_searched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    searched = rf"none\.npz is no file in .*{tmp_path.name} \(`dvc exp run` .* give an absolute path\); allowed"
    with pytest.raises(UserError, match=searched):
        images_of.npz("none.npz", "0" * 64)


def test_an_archive_without_an_array_is_refused(tmp_path):
    files.write_npz(tmp_path / "a.npz", x_train=np.zeros(3))
    with pytest.raises(UserError, match=r"a\.npz: lacks y_train, x_test, y_test; it must hold x_train, y_train"):
        images_of.npz(str(tmp_path / "a.npz"), files.sha256(tmp_path / "a.npz"))


def test_images_for_validation_are_read(archive):
    further = {"x_val": np.full((4, 8, 8, 3), 200, np.uint8), "y_val": np.array([1, 0, 1, 0])}
    files.write_npz(archive[0], **np.load(archive[0]), **further)
    found = images_of.npz(str(archive[0]), files.sha256(archive[0]))
    assert found["y_val"].tolist() == [1, 0, 1, 0]


def test_an_archive_is_read_as_it_was_hashed_though_another_takes_its_name(archive, monkeypatch):
    path, sha256 = archive
    files.write_npz(path.with_name("other.npz"), **dict.fromkeys(("x_train", "y_train", "x_test", "y_test"), 0))
    digest = hashlib.file_digest

    def then_replaced(*arguments):
        found = digest(*arguments)
        path.with_name("other.npz").replace(path)
        return found

    monkeypatch.setattr(hashlib, "file_digest", then_replaced)
    assert images_of.npz(str(path), sha256)["x_train"].shape == (6, 8, 8, 3)


def test_an_archive_is_downloaded_once(archive, server):
    path, sha256 = archive
    first = images_of.npz(f"{server.url}/good", sha256)
    path.unlink()  # the server has it no more
    again = images_of.npz(f"{server.url}/good", sha256)
    assert np.array_equal(first["x_train"], again["x_train"])
    assert len(server.requests) == 1


@pytest.mark.parametrize("page", ["moved", "packed"])
def test_an_archive_is_taken_as_the_server_has_it(archive, server, page):
    assert images_of.npz(f"{server.url}/{page}", archive[1])["x_train"].shape == (6, 8, 8, 3)


FAILURES = {
    "a page that is missing": ("missing", "404"),
    "a broken server": ("broken", "500"),
    "a reason that would clear the screen": ("escape", r"404, message='\\x1b\[2J"),
    "half a file": ("half", "ContentLengthError"),
    "no answer": ("slow", "less than 10 kB per second"),
    "a slow head": ("slow-head", "less than 10 kB per second"),
    "a slow body": ("slow-body", "less than 10 kB per second"),
    "a body without an end": ("endless", "larger than this machine's memory of 0.0 GB"),
    "a length beyond memory": ("huge", "larger than this machine's memory"),
    "another hash": ("good", "SHA-256 .*; allowed: 0000"),
    "a circle": ("loop", "loop"),
    "a file of this machine": ("local", "file:///etc/passwd"),
    "a signed address": ("signed", r"/missing\?…'\); mend"),
}


@pytest.mark.parametrize(("page", "reason"), FAILURES.values(), ids=FAILURES)
def test_a_download_that_fails_is_refused_in_one_line(archive, server, impatient, page, reason):
    sha256 = "0" * 64 if page == "good" else archive[1]
    with pytest.raises(UserError, match=f"/{page} cannot be downloaded .*{reason}") as error:
        images_of.npz(f"{server.url}/{page}", sha256)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("page", ["missing", "half", "slow-body", "endless", "good"])
def test_a_failed_download_leaves_nothing(archive, server, impatient, tmp_path, page):
    with pytest.raises(UserError):
        images_of.npz(f"{server.url}/{page}", "0" * 64)
    assert list((tmp_path / "keras/datasets").iterdir()) == []


def test_another_file_in_the_cache_is_not_taken(archive, server, tmp_path):
    (tmp_path / "keras/datasets").mkdir(parents=True)
    (tmp_path / f"keras/datasets/{archive[1]}.npz").write_text("half of it")
    assert images_of.npz(f"{server.url}/good", archive[1])["x_train"].shape == (6, 8, 8, 3)


def test_no_password_is_sent_over_http(archive, server):
    images_of.npz(f"{server.url}/moved", archive[1])
    assert len(server.requests) == 2
    assert not [headers for headers in server.requests if "Authorization" in headers]


def test_a_netrc_that_is_not_there_adds_no_line(archive, server, monkeypatch, caplog):
    monkeypatch.setenv("NETRC", "/none")
    images_of.npz(f"{server.url}/good", archive[1])
    assert caplog.messages == []


SERVERS = {
    "the server itself": ("https://own/b", True),
    "the server over http": ("http://own/a", False),
    "another server": ("https://other/a", False),
    "another port": ("https://own:444/a", False),
}


@pytest.mark.parametrize(("url", "sent"), SERVERS.values(), ids=SERVERS)
def test_a_password_is_sent_to_its_own_server_over_https_only(url, sent):
    async def headers(request):
        return request.headers

    request = SimpleNamespace(url=URL(url), headers={"Authorization": "Basic"})
    assert ("Authorization" in asyncio.run(download._keep_login(URL("https://own/a"))(request, headers))) == sent


@pytest.fixture
def cifar10(monkeypatch) -> np.ndarray:
    """Forty images in place of what Keras reads; their labels (40, 1)."""
    labels = np.arange(40, dtype=np.uint8)[:, None] % 10
    split = (np.full((40, 32, 32, 3), 255, np.uint8), labels)
    monkeypatch.setattr(download, "fetch", lambda *_: None)
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", lambda: (split, split))
    return labels


def test_cifar10_has_the_labels_that_keras_gives_and_its_class_names(cifar10):
    images = images_of.cifar10()
    np.testing.assert_array_equal(images["y_train"], cifar10)
    assert images["class_names"].tolist()[3] == "cat"


def test_cifar10_is_downloaded_to_where_keras_looks_for_it(monkeypatch):
    from keras.src.datasets import cifar10

    class AskedError(Exception):
        pass

    def asked(fname, origin, file_hash, extract):
        raise AskedError(origin, file_hash, f"{fname}_archive")

    monkeypatch.setattr(cifar10, "get_file", asked)
    with pytest.raises(AskedError) as wanted:
        keras.datasets.cifar10.load_data()
    assert wanted.value.args == images_of.CIFAR10


def test_cifar10_without_a_network_says_what_to_do(archive, server, impatient, monkeypatch):
    monkeypatch.setattr(images_of, "CIFAR10", (f"{server.url}/missing", "0" * 64, "archive"))
    with pytest.raises(UserError, match="data.source cifar10 cannot be loaded .404.* set data.source to npz"):
        images_of.cifar10()


@pytest.mark.parametrize("source", ["synthetic", "cifar10", "npz"])
def test_arrays_of_every_source_are_checked(params, archive, cifar10, source):
    changes = {"path": str(archive[0]), "sha256": archive[1]}
    small = params.data.synthetic.model_copy(update={"train_images": 100, "test_images": 20})
    images = images_of.get(params.data.model_copy(update=changes | {"source": source, "synthetic": small}))
    assert images["y_train"].ndim == 1
    assert sorted(images) == ["class_names", "x_test", "x_train", "y_test", "y_train"]
