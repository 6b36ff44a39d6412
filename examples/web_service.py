"""A web service that plans: `POST /jobs`, `GET /jobs/ID`, `DELETE /jobs/ID`; the standard library and dnnplan.

    python -m examples.web_service --port 8080
    curl -d '{"instance": "tiny/hand", "time_limit": 5}' http://localhost:8080/jobs
    curl http://localhost:8080/jobs/1
    curl -X DELETE http://localhost:8080/jobs/1

A handler never waits for a search: jobs run in a pool of threads, report through `on_progress`, and end through a
`Cancellation`. What callers may ask for is limited in size, time and number. There are no accounts and no TLS here: put
it behind a server that has them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

import dnnplan
from dnnplan.instances import DnnplanError, Instance, Result
from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.files import loads_instance
from dnnplan.solvers import Progress

MOST_BYTES = 2**20
MOST_SECONDS = 60.0
MOST_JOBS = 50
"""Of the body of a request, of a search, and of jobs that are kept; the oldest that has ended makes room."""


@dataclass
class Job:
    """A search: what it has found so far, how it ended, and how to end it."""

    cancel: dnnplan.Cancellation = field(default_factory=dnnplan.Cancellation)
    progress: Progress | None = None
    result: Result | None = None
    error: str | None = None

    def report(self, progress: Progress) -> None:
        """Called by the threads of the search: quick, and never waiting."""
        self.progress = progress

    def tree(self) -> dict[str, Any]:
        """The job as JSON values."""
        state = "failed" if self.error else "done" if self.result else "running"
        now = self.progress
        best = {} if now is None else {"value": now.value, "bound": now.bound, "gap": now.gap}
        return {
            "state": state,
            **best,
            "error": self.error,
            "result": None if self.result is None else msgspec.to_builtins(self.result),
        }


class Planner:
    """The jobs of a service."""

    def __init__(self, *, threads: int = 2, most_seconds: float = MOST_SECONDS) -> None:
        self.most_seconds = most_seconds
        self.jobs: dict[str, Job] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="planner")

    def begin(self, body: bytes) -> str | None:
        """Begin a job; None: there are too many.

        Raises
        ------
        InputError, DecodeError, TypeError, ValueError
            The body is no request, or its instance is not valid.
        """
        request = msgspec.json.decode(body, type=dict[str, Any])
        instance = instance_of(request.get("instance"))
        seconds = float(request.get("time_limit", self.most_seconds))
        if not seconds >= 0:  # NaN too, which no limit would bound
            raise ValueError(f"time_limit: {seconds}, expected seconds >= 0")
        seconds = min(seconds, self.most_seconds)
        with self._lock:
            ended = [name for name, job in self.jobs.items() if job.result or job.error]
            if len(self.jobs) >= MOST_JOBS and not ended:
                return None
            if len(self.jobs) >= MOST_JOBS:
                del self.jobs[ended[0]]
            name = str(next(self._numbers))
            job = self.jobs[name] = Job()
        self._pool.submit(self._run, job, instance, str(request.get("solver", "auto")), seconds)
        return name

    def _run(self, job: Job, instance: Instance, solver: str, seconds: float) -> None:
        try:
            job.result = dnnplan.solve(
                instance, solver, time_limit=seconds, workers=1, on_progress=job.report, stop=job.cancel
            )
        except Exception as error:  # a job that fails is no reason for the service to fail
            job.error = f"{type(error).__name__}: {error}"

    def close(self) -> None:
        """End all jobs."""
        with self._lock:
            for job in self.jobs.values():
                job.cancel.set()
        self._pool.shutdown()


def instance_of(given: object) -> Instance:
    """An instance from the JSON of a stranger: an object, or the name of a bundled one; never a file."""
    if isinstance(given, str):
        return load_bundled(given[:200])
    return loads_instance(msgspec.json.encode(given), syntax="json", source="instance")


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Service

    def do_POST(self) -> None:
        """`POST /jobs`: begin a job."""
        stated = self.headers.get("Content-Length") or ""
        length = int(stated[:20]) if stated.isdecimal() else 0
        if self.path != "/jobs":
            self.answer(404, {"error": f"{self.path}: expected /jobs"})
        elif not 0 < length <= MOST_BYTES:
            self.close_connection = True
            # Who still sends does not read the answer: what is a little too much is taken off the line first.
            self.rfile.read(min(length, 2 * MOST_BYTES))
            self.answer(413, {"error": f"{length} bytes, expected 1 to {MOST_BYTES}"})
        else:
            try:
                name = self.server.planner.begin(self.rfile.read(length))
            except (DnnplanError, msgspec.DecodeError, TypeError, ValueError) as error:
                self.answer(400, {"error": str(error)})
                return
            if name is None:
                self.answer(503, {"error": "too many jobs run"})
            else:
                self.answer(202, {"id": name})

    def do_GET(self) -> None:
        """`GET /jobs/ID`: how a job is doing, and its plan once it has one."""
        job = self.job()
        if job is not None:
            self.answer(200, job.tree())

    def do_DELETE(self) -> None:
        """`DELETE /jobs/ID`: end a job with the best plan so far."""
        job = self.job()
        if job is not None:
            job.cancel.set()
            self.answer(202, {"cancelled": job.result is None})

    def job(self) -> Job | None:
        """The job that the path names; says so where there is none."""
        found = self.server.planner.jobs.get(self.path.removeprefix("/jobs/"))
        if found is None:
            self.answer(404, {"error": f"{self.path}: no such job"})
        return found

    def answer(self, status: int, tree: dict[str, Any]) -> None:
        """Send JSON."""
        body = json.dumps(tree).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing on stderr."""


class Service(ThreadingHTTPServer):
    """A server with a planner."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], planner: Planner) -> None:
        self.planner = planner
        super().__init__(address, Handler)


def main() -> None:
    """Serve until somebody presses Ctrl-C."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=8080)
    planner = Planner()
    with Service(("localhost", parser.parse_args().port), planner) as service:
        try:
            service.serve_forever()
        except KeyboardInterrupt:
            planner.close()


if __name__ == "__main__":
    main()
