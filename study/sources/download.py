"""Files from http(s) servers, in Keras' download cache: whole, of the given hash, within limits of time and size."""

import asyncio
import hashlib
import logging
import os
import tempfile
from pathlib import Path
from typing import BinaryIO

import aiohttp
from aiohttp.hdrs import ACCEPT_ENCODING, AUTHORIZATION
from yarl import URL

from study.base import files
from study.base.runtime import NETWORK_TIMEOUT_SECONDS, first_line, memory

# A download that is slower on average ends; NETWORK_TIMEOUT_SECONDS for its start come on top. CIFAR-10, of 170 MB,
# takes 5 hours at this rate.
SLOWEST_BYTES_PER_SECOND = 10_000


class DownloadError(Exception):
    """Why there is no file."""


def fetch(url: str, sha256: str, name: str) -> Path:
    """The file `name` in the cache; downloaded, unless it is there with this hash. Raises DownloadError.

    User and password for the server are read from ~/.netrc. They are sent to no other server, and over https only.
    """
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)  # it warns of a .netrc that cannot be read
    folder = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "datasets"
    path = folder / name
    try:
        if path.is_file() and files.sha256(path) == sha256:
            return path
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{name}.", dir=folder) as own:  # two may download at the same time
            partial = Path(own, name)
            with partial.open("wb") as file:
                found = asyncio.run(_download(url, file))
            if found != sha256:
                raise DownloadError(f"the server gives a file of SHA-256 {found}; allowed: {sha256}")
            partial.replace(path)
    except TimeoutError:
        raise DownloadError(f"the server gives less than {SLOWEST_BYTES_PER_SECOND / 1000:g} kB per second") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise DownloadError(first_line(error)) from None
    return path


async def _download(url: str, file: BinaryIO) -> str:
    """Write what the server gives to the file. Returns its SHA-256."""
    loop, digest, size, most = asyncio.get_running_loop(), hashlib.sha256(), 0, memory()
    limit = loop.time() + NETWORK_TIMEOUT_SECONDS
    options = {"headers": {ACCEPT_ENCODING: "identity"}, "auto_decompress": False, "trust_env": True}
    timeout = aiohttp.ClientTimeout(total=None, sock_read=NETWORK_TIMEOUT_SECONDS)
    async with (
        asyncio.timeout_at(limit) as alarm,
        aiohttp.ClientSession(**options, timeout=timeout, middlewares=[_keep_login(URL(url))]) as session,
        session.get(url, raise_for_status=True) as response,
    ):
        async for part in response.content.iter_any():
            size += len(part)
            if max(size, response.content_length or 0) > most:
                raise ValueError(f"the file is larger than this machine's memory of {most / 1e9:.1f} GB")
            digest.update(part)
            file.write(part)
            alarm.reschedule(limit + size / SLOWEST_BYTES_PER_SECOND)
    return digest.hexdigest()


def _keep_login(url: URL) -> aiohttp.ClientMiddlewareType:
    """Sends no login over http, nor to a server that the one of `url` names instead of itself."""

    async def send(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        if request.url.scheme != "https" or request.url.origin() != url.origin():
            request.headers.pop(AUTHORIZATION, None)
        return await handler(request)

    return send
