"""`dnnplan pipe`, and a complete solve over standard input and output."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from typing import Any

import jsonschema
import msgspec
import pytest
from typer.testing import CliRunner

from dnnplan.cli.app import app
from dnnplan.cli.pipe import pipe
from dnnplan.cli.pipe_server import PipeLimits, Server
from dnnplan.costs.check import check
from dnnplan.instances import InputError, Instance, Plan
from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.files import dumps, loads_plan
from dnnplan.instances.generators import layered, task_sharing
from dnnplan.instances.pipe_records import PipeEvent
from dnnplan.instances.schema import pipe_event_schema, pipe_request_schema
from dnnplan.solvers import solve
from tests.support.random_orders import random_order_instance
from tests.support.serving_oracles import random_instance
from tests.support.task_oracles import random_joint, random_selection

PROBLEMS: dict[str, Instance] = {
    "mapping": layered(layers=6, devices=2, seed=1),
    "grouping": task_sharing(4, 2, seed=1),
    "selection": random_selection(5),
    "ordering": random_order_instance(1, "open"),
    "joint": random_joint(0),
    "serving": random_instance(2, samples=3),
}
EVENT = jsonschema.Draft202012Validator(pipe_event_schema())
REQUEST = jsonschema.Draft202012Validator(pipe_request_schema())


def tree(record: Instance | Plan) -> dict[str, Any]:
    return json.loads(dumps(record))


def lines(*requests: Any) -> bytes:
    """Requests as input; texts go as they are."""
    return b"".join(one if isinstance(one, bytes) else json.dumps(one).encode() + b"\n" for one in requests)


def served(*requests: Any, **limits: Any) -> list[dict[str, Any]]:
    """All events of a server that reads these requests."""
    output = io.BytesIO()
    Server(PipeLimits(**{"at_once": 2, "workers": 1, **limits}), output).serve(io.BytesIO(lines(*requests)))
    events = [json.loads(line) for line in output.getvalue().splitlines()]
    for event in events:
        EVENT.validate(event)
        msgspec.convert({**event, "result": None}, PipeEvent)
    return events


def one(*requests: Any, **limits: Any) -> dict[str, Any]:
    (event,) = served(*requests, **limits)
    return event


@pytest.mark.parametrize("problem", PROBLEMS)
def test_solve_check_and_evaluate_go_through_the_pipe(problem: str) -> None:
    """Work is limited and not time: a compiler, or other programs, may take as long as they like."""
    instance = PROBLEMS[problem]
    request = {"id": 7, "method": "solve", "instance": tree(instance), "problem": problem, "work_limit": 20}
    REQUEST.validate(request)
    event = one(request)
    assert (event["id"], event["event"]) == (7, "result")
    alone = solve(instance, problem=problem, time_limit=None, work_limit=20, workers=1)
    assert alone.status == event["result"]["status"] == "optimal"
    assert event["result"]["objective"]["value"] == pytest.approx(alone.objective.value)
    plan = event["result"]["plan"]
    assert check(instance, loads_plan(json.dumps(plan))) == ()
    judged = {"instance": tree(instance), "plan": plan}
    checked, evaluated = served(
        {"id": "c", "method": "check", **judged}, {"id": "e", "method": "evaluate", **judged}, at_once=1
    )
    assert checked["check"] == {"valid": True, "violations": []}
    assert evaluated["evaluation"]["feasible"]
    if problem == "mapping":
        assert evaluated["evaluation"]["cost"]["latency"] == event["result"]["cost"]["latency"]
    else:
        assert evaluated["evaluation"]["measures"] == event["result"]["measures"]


def test_progress_comes_only_if_asked_for_and_before_the_result() -> None:
    request = {"id": 1, "method": "solve", "instance": "tiny/hand", "time_limit": 20}
    kinds = [event["event"] for event in served({**request, "progress": True})]
    assert kinds[-1] == "result"
    assert kinds.count("result") == 1
    assert "progress" in kinds
    assert [event["event"] for event in served(request)] == ["result"]


@pytest.mark.parametrize(
    ("line", "known", "kind", "said"),
    [
        (b"rubbish\n", None, "FormatError", "not JSON"),
        (b"[1]\n", None, "InputError", "object"),
        (b'{"id": 5, "method": "fly"}\n', 5, "InputError", "method"),
        (b'{"id": 5, "method": "solve"}\n', 5, "InputError", "instance: missing"),
        (b'{"id": 5, "method": "solve", "instance": "tiny/hand", "sover": "x"}\n', 5, "InputError", "sover"),
        (b'{"id": 5, "method": "solve", "instance": {"models": 3}}\n', 5, "FormatError", "format_version"),
        (b'{"id": 5, "method": "solve", "instance": "/etc/passwd"}\n', 5, "InputError", "bundled"),
        (
            b'{"id": 5, "method": "solve", "instance": "tiny/hand", "solver": "cpsta"}\n',
            5,
            "UnsupportedError",
            "cpsat",
        ),
        (b'{"id": 5, "id": 6, "method": "version"}\n', None, "InstanceError", "id"),
        (b'{"id": 5, "method": "check", "instance": "tiny/hand"}\n', 5, "InputError", "plan: missing"),
        (b"\xff\xfe\n", None, "FormatError", "UTF-8"),
        (b'{"id": true, "method": "version"}\n', None, "InputError", "id: true"),
        (b'{"id": "' + b"i" * 300 + b'", "method": "version"}\n', None, "InputError", "id: "),
        (b"[" * 100_000 + b"\n", None, "FormatError", "nested"),
        (b'{"id": 1, "method": "' + b"x" * 3000 + b'"}\n', None, "FormatError", "2048 bytes"),
    ],
)
def test_bad_lines_are_errors_and_the_next_one_is_read(line: bytes, known: Any, kind: str, said: str) -> None:
    limits = {"line": 2048} if b"xxxx" in line else {}
    error, version = served(line, b"\n", {"id": "next", "method": "version"}, at_once=1, **limits)[:2]
    if error["id"] == "next":
        error, version = version, error
    assert (error["event"], error["id"], error["error"]["kind"]) == ("error", known, kind)
    assert said in error["error"]["message"]
    assert set(version["versions"]) >= {"dnnplan", "numpy"}


class Steps(io.RawIOBase):
    """Input whose lines come when the test says so."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.more = threading.Condition()
        self.ended = False

    def give(self, *requests: Any, end: bool = False) -> None:
        with self.more:
            self.lines += lines(*requests).splitlines(keepends=True)
            self.ended = end
            self.more.notify()

    def readline(self, size: int = -1) -> bytes:
        with self.more:
            self.more.wait_for(lambda: self.lines or self.ended, timeout=60)
            return self.lines.pop(0) if self.lines else b""


class Seen(io.BytesIO):
    """Output whose events can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[dict[str, Any]] = []
        self.more = threading.Condition()

    def write(self, line: bytes) -> int:
        with self.more:
            self.events.append(json.loads(line))
            self.more.notify()
        return len(line)

    def wait(self, **members: Any) -> dict[str, Any]:
        def fitting() -> list[dict[str, Any]]:
            return [e for e in self.events if all(e.get(k) == v for k, v in members.items())]

        with self.more:
            assert self.more.wait_for(fitting, timeout=60), (members, self.events)
            return fitting()[0]


def long(known: Any) -> dict[str, Any]:
    """A search that goes on until somebody ends it."""
    instance = tree(layered(layers=150, devices=4, seed=1))
    return {
        "id": known,
        "method": "solve",
        "instance": instance,
        "solver": "genetic",
        "time_limit": 600,
        "progress": True,
    }


def test_requests_run_side_by_side_wait_and_are_cancelled() -> None:
    source, seen = Steps(), Seen()
    server = Server(PipeLimits(at_once=2, waiting=1, workers=1), seen)
    thread = threading.Thread(target=server.serve, args=(source,))
    thread.start()
    source.give(long("a"), long("b"))
    seen.wait(id="a", event="progress")
    seen.wait(id="b", event="progress")
    source.give(long("c"), long("d"), long("a"), {"id": "zzz", "method": "cancel"})
    assert seen.wait(id="d", event="error")["error"]["kind"] == "Busy"
    assert "request that runs" in seen.wait(id="a", event="error")["error"]["message"]
    assert seen.wait(id="zzz")["cancelled"] is False
    source.give({"id": "a", "method": "cancel"})
    assert seen.wait(id="a", cancelled=True)
    ended = next(e for e in [seen.wait(id="a", event="result", cancelled=None)])
    assert (ended["result"]["stop_reason"], ended["result"]["valid"]) == ("interrupted", True)
    seen.wait(id="c", event="progress")
    source.give({"id": "b", "method": "cancel"}, {"id": "c", "method": "cancel"}, end=True)
    thread.join(60)
    assert not thread.is_alive(), "the end of the input ends the server"
    results = {e["id"] for e in seen.events if e["event"] == "result" and "result" in e}
    assert results == {"a", "b", "c"}


def test_what_is_cancelled_while_it_waits_is_answered_while_others_run() -> None:
    source, seen = Steps(), Seen()
    server = Server(PipeLimits(at_once=1, waiting=2, workers=1), seen)
    thread = threading.Thread(target=server.serve, args=(source,))
    thread.start()
    source.give(long("a"), long("b"))
    seen.wait(id="a", event="progress")
    source.give({"id": "b", "method": "cancel"})
    result = seen.wait(id="b", event="result", cancelled=None)["result"]
    assert (result["status"], result["stop_reason"]) == ("unknown", "interrupted")
    assert not [e for e in seen.events if e["id"] == "a" and e["event"] == "result"]
    source.give({"id": "b", "method": "version"}, {"id": "a", "method": "cancel"}, end=True)
    thread.join(60)
    assert not thread.is_alive()


def test_a_reader_that_goes_away_ends_what_runs() -> None:
    class Broken(io.BytesIO):
        def write(self, line: bytes) -> int:
            raise BrokenPipeError

    server = Server(PipeLimits(at_once=1, workers=1), Broken())
    server.serve(io.BytesIO(lines(long(1), long(2))))  # returns, though nobody has cancelled


def test_limits_of_the_server_are_kept() -> None:
    request = {**long(1), "time_limit": 600, "workers": 64, "progress": False}
    event = one(request, seconds=0.5)
    assert event["result"]["stop_reason"] == "time_limit"


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_complete_solve_over_standard_input_and_output(problem: str) -> None:
    arguments = ["solve", "-", "--json", "--time-limit", "600"]
    arguments += ["--problem", problem] if problem != "selection" else []
    found = CliRunner().invoke(app, arguments, input=dumps(PROBLEMS[problem]).encode())
    assert found.exit_code == 0, found.stderr
    result = json.loads(found.stdout)
    assert check(PROBLEMS[problem], loads_plan(json.dumps(result["plan"]))) == ()


@pytest.mark.parametrize("stream", ["stdin", "stdout"])
def test_closed_streams_are_named(stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"dnnplan.cli.pipe.sys.{stream}", None)
    with pytest.raises(InputError, match="is closed"):
        pipe(at_once=1)


def test_the_command_in_a_process_of_its_own() -> None:
    run = subprocess.run(
        [sys.executable, "-c", "from dnnplan.cli import main; main()", "pipe", "--at-once", "1"],
        input=lines({"id": 1, "method": "solve", "instance": "tiny/hand", "time_limit": 20}),
        capture_output=True,
        check=False,
        env={"PYTHONPATH": ":".join(p for p in sys.path if p), "PATH": ""},
    )
    assert (run.returncode, run.stderr) == (0, b"")
    (line,) = run.stdout.splitlines()
    plan = json.loads(line)["result"]["plan"]
    assert check(load_bundled("tiny/hand"), loads_plan(json.dumps(plan))) == ()
