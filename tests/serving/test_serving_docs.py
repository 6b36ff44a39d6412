"""The table of policies in the documentation is that of the registry."""

from __future__ import annotations

import re
from pathlib import Path

from serving_cases import OPTIONS, affine_problem
from test_policies import DROPS, NEED_OBJECTIVES

from dnnplan.serving.policies import make_policy, policy_names

PAGE = Path(__file__).resolve().parents[2] / "docs" / "serving.md"


def test_the_policies_of_the_page_are_those_of_the_registry():
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|.*\| (yes|no) \| (yes|no) \|$", text, re.MULTILINE)
    word = {True: "yes", False: "no"}
    stated = [(name, word[name in NEED_OBJECTIVES], word[name in DROPS]) for name in policy_names()]
    assert rows == stated


def test_policies_of_the_registry_are_compiled():
    problem = affine_problem(1.0, 1.0, batch=3, slo=20.0)
    assert all(make_policy(name, problem, **OPTIONS.get(name, {})).is_compiled for name in policy_names())
