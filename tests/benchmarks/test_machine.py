"""What a row says about its machine helps to compare, and tells nothing about whose it is."""

from __future__ import annotations

import getpass
import json
import os
import platform
import re

from benchmarks.machine import describe_machine, describe_versions, machine_line


def test_machine_says_what_matters() -> None:
    machine = describe_machine()
    assert set(machine) == {"cpu", "cores", "memory_gib", "os", "python"}
    assert machine["cpu"]
    assert int(machine["cores"]) >= 1
    assert platform.python_version() in str(machine["python"])


def test_machine_tells_no_host_no_user_no_path() -> None:
    text = json.dumps([describe_machine(), describe_versions()])
    assert os.getcwd() not in text
    assert not re.search(r'[:"]\s*/', text)
    for secret in (platform.node(), getpass.getuser()):
        assert not secret or not re.search(rf"\b{re.escape(secret)}\b", text)


def test_code_digest_is_the_same_twice_and_short() -> None:
    code = describe_versions()["code"]
    assert re.fullmatch(r"[0-9a-f]{12}", code)
    assert describe_versions()["code"] == code
    # An empty digest would mean that no source was found.
    assert code != "e3b0c44298fc"


def test_machine_line_counts_cores() -> None:
    assert "2 cores," in machine_line({"cpu": "Z80", "cores": 2})
    assert "1 core," in machine_line({"cpu": "Z80", "cores": 1})
