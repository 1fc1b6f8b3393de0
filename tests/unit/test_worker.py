"""A worker trains only with the code that it offered a place for."""

from types import SimpleNamespace

import pytest

from study.training import worker

distributed = pytest.importorskip("distributed", reason="needs the extra cluster: make extras")


def test_a_worker_whose_code_changed_after_it_began_is_restarted_and_trains_nothing(monkeypatch):
    class OfOtherCode:
        threads, ended = 2, False

        def identity(self) -> dict[str, str]:
            return {"study/files.py": "changed"}

        def end(self) -> None:
            OfOtherCode.ended = True

    class DaskWorker:
        """In the place of one that Dask started."""

        def close_gracefully(self, restart: bool) -> None:
            """What `run` asks its loop for."""

    asked, dask_worker = [], DaskWorker()
    dask_worker.loop = SimpleNamespace(add_callback=lambda callback, **options: asked.append((callback, options)))
    monkeypatch.setattr(distributed, "get_worker", lambda: dask_worker)
    monkeypatch.setattr(worker, "Trainer", lambda threads: OfOtherCode())
    with pytest.raises(distributed.Reschedule):
        worker.run('{"data": "0"}', 2)
    assert asked == [(dask_worker.close_gracefully, {"restart": True})]
    assert OfOtherCode.ended
