"""What one clone has run, others get from a remote: a folder, and S3 spoken over HTTP by moto on this machine."""

import logging
import os
import re
import secrets
import shutil
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pace
import project
import pytest
from project import SMALL_MODEL as MODEL

from study.base.runtime import UserError
from study.commands import share

pytestmark = pytest.mark.slow
AWS = {
    "AWS_ACCESS_KEY_ID": "ID-OF-NOBODY",
    "AWS_SECRET_ACCESS_KEY": secrets.token_hex(16),
    "AWS_REGION": "us-east-1",
    "AWS_MAX_ATTEMPTS": "1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "NO_PROXY": "127.0.0.1",
}
LOCAL_SECRET = secrets.token_hex(16)  # random, since the copies hold this file


@pytest.fixture(scope="module")
def bucket() -> Iterator[SimpleNamespace]:
    """A bucket `team` at `url`, the paths that were `sent` to it, and which of them it `refuses`."""
    server = pytest.importorskip("moto.server", reason="needs the extra s3: make extras")
    serving = pytest.importorskip("werkzeug.serving")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it logs each request
    moto = server.DomainDispatcherApplication(server.create_backend_app)
    bucket = SimpleNamespace(sent=[], refuses=lambda path: False)

    def answer(request: dict, start: Callable) -> Iterable[bytes]:
        if request["REQUEST_METHOD"] == "PUT":
            if bucket.refuses(request["PATH_INFO"]):
                start("403 Forbidden", [("Content-Type", "application/xml")])
                return [b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"]
            bucket.sent.append(request["PATH_INFO"])
        return moto(request, start)

    http = serving.make_server("127.0.0.1", 0, answer, threaded=True)
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    bucket.url = f"http://127.0.0.1:{http.port}"
    urllib.request.urlopen(urllib.request.Request(f"{bucket.url}/team", method="PUT"), timeout=pace.seconds(10)).close()
    yield bucket
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture(scope="module", params=["folder", "s3"])
def team(request, small_run, server, tmp_path_factory) -> SimpleNamespace:
    """Whoever ran the small run has shared it by the commands of README, and somebody else has cloned and pulled.

    `run` runs a command in a folder, as somebody who has access; `printed` is all that commands have printed.
    """
    folder = tmp_path_factory.mktemp(request.param)
    repository, clone = folder / "repository", folder / "clone"
    shutil.copytree(small_run[0], repository, symlinks=True)
    bucket = request.getfixturevalue("bucket") if request.param == "s3" else None
    keys, url = (AWS, "s3://team/study") if bucket else ({}, str(folder / "remote"))
    printed = []

    def run(where: Path, *command: str | Path, **environment: str) -> str:
        done = project.shell(where, *command, **server.environment | keys | environment)
        printed.append(done.stdout + done.stderr)
        return done.stdout

    run(repository, "dvc", "remote", "add", "--default", "team", url)
    if bucket:
        run(repository, "dvc", "remote", "modify", "team", "endpointurl", bucket.url)
        run(repository, "dvc", "remote", "modify", "--local", "team", "access_key_id", "LOCAL-ID")
        run(repository, "dvc", "remote", "modify", "--local", "team", "secret_access_key", LOCAL_SECRET)
    project.commit(repository, "remote")
    run(repository, "python", "-m", "study", "share")
    run(folder, "git", "clone", "--quiet", repository, clone)
    run(clone, "dvc", "pull", "--run-cache", "--verbose")
    return SimpleNamespace(folder=folder, repository=repository, clone=clone, bucket=bucket, run=run, printed=printed)


def another_clone(team: SimpleNamespace, name: str) -> Path:
    team.run(team.folder, "git", "clone", "--quiet", team.repository, team.folder / name)
    return team.folder / name


def ran(printed: str) -> set[str]:
    return set(re.findall(r"^Running stage '(.*)'", printed, re.MULTILINE))


def names(paths: Iterable[Path], below: int) -> list[str]:
    """The last folders of paths and their names: what DVC's cache and a remote have in common."""
    return sorted("/".join(path.parts[-below:]) for path in paths if path.is_file() or not path.exists())


def test_a_remote_gets_all_files_and_all_finished_runs_once(team):
    cache, remote = team.repository / ".dvc/cache", team.folder / "remote"
    for part, below in (("files/md5", 2), ("runs", 3)):
        if team.bucket:
            arrived = [Path(path) for path in team.bucket.sent if path.startswith(f"/team/study/{part}/")]
        else:
            arrived = (remote / part).rglob("*")
        assert names(arrived, below) == names((cache / part).rglob("*"), below)


@pytest.mark.parametrize("team", ["folder"], indirect=True)
def test_a_clone_that_pulls_has_all_outputs_and_nothing_to_do(team):
    assert project.outputs(team.clone) == project.outputs(team.repository)
    assert team.run(team.clone, "dvc", "repro").splitlines()[-1] == "Data and pipelines are up to date."
    assert team.run(team.clone, "git", "status", "--porcelain") == ""


@pytest.mark.parametrize("team", ["folder"], indirect=True)
def test_a_clone_runs_what_a_change_made_stale_and_fetches_what_that_reads_and_no_more(team):
    clone = another_clone(team, "changed")
    script = clone / "stages/evaluate.py"
    script.write_text(script.read_text() + "# changed\n")
    assert ran(team.run(clone, "dvc", "repro", "--pull", "--allow-missing")) == {f"evaluate@{MODEL}"}
    inputs = {"data/test.npz", f"models/{MODEL}.keras", f"models/repeats/{MODEL}.npz"}
    data = {path for path in project.outputs(clone) if re.match(r"data/(?!images/)|models/", path)}
    assert data == inputs | {f"data/predictions/{MODEL}.npz"}


@pytest.mark.parametrize("team", ["folder"], indirect=True)
def test_what_was_run_elsewhere_is_fetched_and_not_run_again(team):
    """But for `report`, which enters no run cache. Without dvc.lock, only the run cache knows what was run."""
    clone = another_clone(team, "anew")
    (clone / "dvc.lock").unlink()
    for name in ("metrics", "plots", "reports"):
        shutil.rmtree(clone / name)
    assert ran(team.run(clone, "dvc", "repro", "--pull")) == {"report"}
    assert project.outputs(clone) == project.outputs(team.repository)


@pytest.mark.parametrize("team", ["s3"], indirect=True)
def test_access_keys_are_in_no_file_but_config_local_and_in_no_line_that_was_printed(team):
    local = team.repository / ".dvc/config.local"
    assert LOCAL_SECRET in local.read_text()
    team.run(team.repository, "git", "check-ignore", local)
    team.run(team.repository, "sh", "-c", "git log --all --patch")
    files = [path for path in team.folder.rglob("*") if path.is_file() and path != local]
    assert len(files) > 300
    for secret in (LOCAL_SECRET, AWS["AWS_SECRET_ACCESS_KEY"]):
        assert [text for text in team.printed if secret in text] == []
        assert [path for path in files if secret.encode() in path.read_bytes()] == []


FAULTS = {
    "a remote that nobody added": ("none", ".dvc/config: there is no remote none; add one: "),
    "a bucket that is not there": ("gone", "The specified bucket does not exist"),
    "nobody at the endpoint": ("silent", 'Could not connect to the endpoint URL: "http://127.0.0.1:9/'),
    "no access keys": ("keyless", "Unable to locate credentials"),
    "a folder that cannot be made": ("unwritable", "No such file or directory: '/proc/none'"),
    "a package that is not installed": ("gcs", "requires 'dvc-gs' to be installed"),
}
REMOTES = {
    "gone": {"url": "s3://none/study", "access_key_id": "a", "secret_access_key": "b"},
    "silent": {"url": "s3://team/study", "access_key_id": "a", "secret_access_key": "b"},
    "keyless": {"url": "s3://team/study"},
    "partial": {"url": "s3://team/partial", "access_key_id": "a", "secret_access_key": "b"},
    "unwritable": {"url": "/proc/none"},
    "gcs": {"url": "gs://team/study"},
}


@pytest.fixture
def sender(bucket, small_run, tmp_path, monkeypatch) -> Iterator[SimpleNamespace]:
    """A copy of the small run as the working folder of this process, whose remotes have faults; and the bucket."""
    repository = Path(shutil.copytree(small_run[0], tmp_path / "repository", symlinks=True))
    with (repository / ".dvc/config").open("a") as config:
        for name, options in REMOTES.items():
            endpoint = {"endpointurl": "http://127.0.0.1:9" if name == "silent" else bucket.url}
            lines = options | (endpoint if options["url"].startswith("s3") else {})
            config.write(f"['remote \"{name}\"']\n" + "".join(f"    {key} = {lines[key]}\n" for key in lines))
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_REGION", "AWS_MAX_ATTEMPTS", "AWS_EC2_METADATA_DISABLED", "NO_PROXY"):
        monkeypatch.setenv(name, AWS[name])
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.chdir(repository)
    handlers = {name: logging.getLogger(name).handlers for name in share.LOGGERS}
    yield bucket
    bucket.refuses = lambda path: False
    for name, before in handlers.items():
        logging.getLogger(name).handlers = before


@pytest.mark.parametrize(("remote", "message"), FAULTS.values(), ids=FAULTS)
def test_what_keeps_files_from_a_remote_is_said_in_one_line(remote, message, sender, capfd):
    with pytest.raises(UserError) as error:
        share.main(remote)
    assert message in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_without_a_default_remote_share_says_how_to_add_one(sender):
    with pytest.raises(UserError, match="there is no default remote; add one: `dvc remote add -d team s3:"):
        share.main(None)


def test_a_push_that_breaks_off_leaves_no_entry_of_a_run_and_goes_on_with_what_is_lacking(sender, capsys):
    def sent() -> list[str]:
        return [path for path in sender.sent if path.startswith("/team/partial/")]

    for refuses in (lambda path: len(sent()) > 4, lambda path: "/runs/" in path):
        sender.refuses = refuses
        with pytest.raises(UserError, match=r"^not all files reached the remote partial: .*(Access Denied|Forbidden)"):
            share.main("partial")
        assert [path for path in sent() if "/runs/" in path] == []
    sender.refuses = lambda path: False
    share.main("partial")
    assert (
        capsys.readouterr().out
        == "partial has all files; new there are 0 that dvc.lock names and 0 more of finished runs\n"
    )
    assert len(sent()) == len(set(sent()))
