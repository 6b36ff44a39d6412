"""The examples run: a web service over HTTP, the notebook as it is stored, a search for networks."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dnnplan.costs.check import check
from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.files import dumps, loads_plan
from dnnplan.instances.generators import layered
from examples import nas_loop, web_service
from examples.make_notebook import executed

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PATIENCE = 60.0


@pytest.fixture
def service() -> Iterator[int]:
    """The port of a service that runs."""
    planner = web_service.Planner(threads=2, most_seconds=30.0)
    with web_service.Service(("localhost", 0), planner) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        planner.close()
        server.shutdown()
        thread.join()


def asked(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("localhost", port, timeout=PATIENCE)
    connection.request(method, path, body)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def until(port: int, path: str, *states: str, found: bool = False) -> dict[str, Any]:
    """The job, once it is in one of these states, or has a plan."""
    for _ in range(int(PATIENCE / 0.02)):
        _, job = asked(port, "GET", path)
        if job["state"] in states or (found and job.get("value") is not None):
            return job
        threading.Event().wait(0.02)
    raise AssertionError(job)


def test_a_job_is_begun_watched_and_done(service: int) -> None:
    status, begun = asked(service, "POST", "/jobs", b'{"instance": "tiny/hand", "time_limit": 20}')
    assert status == 202
    job = until(service, f"/jobs/{begun['id']}", "done", "failed")
    assert (job["state"], job["result"]["status"]) == ("done", "optimal")
    plan = loads_plan(json.dumps({"format_version": "1.0", **job["result"]["plan"]}))
    assert check(load_bundled("tiny/hand"), plan) == ()


def test_jobs_are_cancelled_with_the_plan_they_have(service: int) -> None:
    instance = json.loads(dumps(layered(layers=150, devices=4, seed=1)))
    body = json.dumps({"instance": instance, "solver": "genetic", "time_limit": 1e9}).encode()
    ids = [asked(service, "POST", "/jobs", body)[1]["id"] for _ in range(2)]
    for known in ids:
        until(service, f"/jobs/{known}", found=True)
        assert asked(service, "DELETE", f"/jobs/{known}") == (202, {"cancelled": True})
        job = until(service, f"/jobs/{known}", "done", "failed")
        assert (job["result"]["stop_reason"], job["result"]["valid"]) == ("interrupted", True)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("POST", "/jobs", b"rubbish", 400, "JSON"),
        ("POST", "/jobs", b'{"instance": {"models": []}}', 400, "format_version"),
        ("POST", "/jobs", b'{"instance": "/etc/passwd"}', 400, "bundled"),
        ("POST", "/jobs", b'{"instance": 3}', 400, ""),
        ("POST", "/jobs", b'{"instance": "tiny/hand", "time_limit": "nan"}', 400, "time_limit"),
        ("POST", "/jobs", b'{"instance": "tiny/hand", "time_limit": -1}', 400, "time_limit"),
        ("POST", "/jobs", b"x" * (web_service.MOST_BYTES + 1), 413, "bytes"),
        ("POST", "/elsewhere", b"{}", 404, "expected /jobs"),
        ("GET", "/jobs/77", None, 404, "no such job"),
        ("DELETE", "/jobs/77", None, 404, "no such job"),
    ],
)
def test_bad_requests_are_answered(
    service: int, method: str, path: str, body: Any, status: int, said: str
) -> None:
    found, tree = asked(service, method, path, body)
    assert found == status
    assert said in tree["error"]


def test_a_job_that_fails_says_so(service: int) -> None:
    _, begun = asked(service, "POST", "/jobs", b'{"instance": "tiny/hand", "solver": "cpsta"}')
    assert "cpsat" in until(service, f"/jobs/{begun['id']}", "failed")["error"]


def test_there_is_an_end_to_jobs(service: int, monkeypatch) -> None:
    monkeypatch.setattr(web_service, "MOST_JOBS", 1)
    body = b'{"instance": "layered/200x4-ccr1", "solver": "genetic"}'
    _, begun = asked(service, "POST", "/jobs", body)
    assert asked(service, "POST", "/jobs", body)[0] == 503
    asked(service, "DELETE", f"/jobs/{begun['id']}")
    until(service, f"/jobs/{begun['id']}", "done")
    assert asked(service, "POST", "/jobs", b'{"instance": "tiny/hand"}')[0] == 202


def test_the_notebook_prints_what_is_stored() -> None:
    stored = json.loads((EXAMPLES / "notebook.ipynb").read_text(encoding="utf-8"))
    assert any(cell.get("outputs") for cell in stored["cells"])
    assert executed(stored)["cells"] == stored["cells"]


def test_the_search_for_networks_finds_one_that_is_fast_enough() -> None:
    found = nas_loop.search(50, most_seconds=0.004)
    assert found.best is not None
    assert found.latency <= 0.004
    # The same by hand: predicted and mapped again.
    model = nas_loop.network(found.best)
    assert nas_loop.latency_of(model, nas_loop.ROOFLINES) == found.latency
    assert nas_loop.search(50, most_seconds=0.004).best == found.best
    assert nas_loop.search(3, most_seconds=1e-9).best is None
    more = nas_loop.search(50, most_seconds=0.01)
    assert more.work >= found.work
