"""Random records of any type, made from what msgspec knows of it; and ways to damage them."""

from __future__ import annotations

import string
from copy import deepcopy
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

# Text that has tripped readers of JSON or YAML before, besides random text.
TRICKY = (
    *(
        "on",
        "yes",
        "null",
        "~",
        "1e-6",
        "0o17",
        "0x1f",
        "1_000",
        ".inf",
        "<<",
        "=",
        "- a",
        "a: b",
        "#x",
        "&a",
    ),
    *(
        "*a",
        "!t",
        "%",
        "@",
        "`",
        "{",
        "[",
        "'",
        '"',
        " lead",
        "trail ",
        "Größe",
        "日本",
        "1:30",
        "2026-01-01",
    ),
    *(
        "\x7e",
        "a\u2028b",
        "\u0085x",
        "\ufeffx",
        "😀",
        "?",
        ": ",
        "|",
        ">",
        "NaN",
        "-",
        "0123",
        "+1",
        ".5",
        "1.",
    ),
)
TEXT = st.one_of(st.sampled_from(TRICKY), st.text(max_size=12))
PRINTABLE = st.text(alphabet=string.ascii_letters + string.digits + "-_ .:#éß", min_size=1, max_size=12)
LARGEST_INT = 2**63 - 1
FREE_FORM = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-LARGEST_INT, LARGEST_INT)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def records(record: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Records that have the right shape, whatever they mean."""
    return _of_type(inspect.type_info(record)).map(lambda data: msgspec.convert(data, record))


def _of_type(kind: inspect.Type) -> st.SearchStrategy[Any]:
    match kind:
        case inspect.StructType():
            return _of_struct(kind)
        case inspect.DictType():
            return st.dictionaries(_of_type(kind.key_type), _of_type(kind.value_type), max_size=2)
        case inspect.VarTupleType():
            return st.lists(_of_type(kind.item_type), max_size=2)
        case inspect.TupleType():
            return st.tuples(*map(_of_type, kind.item_types)).map(list)
        case inspect.UnionType():
            return st.one_of(*map(_of_type, kind.types))
        case inspect.StrType():
            names = st.one_of(st.sampled_from([t for t in TRICKY if t.isprintable()]), PRINTABLE)
            return TEXT if kind.pattern is None else names
        case inspect.LiteralType():
            return st.sampled_from(sorted(kind.values))
        case _:
            return _of_scalar(kind)


def _of_struct(kind: inspect.StructType) -> st.SearchStrategy[Any]:
    required = {f.encode_name: _of_type(f.type) for f in kind.fields if f.required}
    optional = {f.encode_name: _of_type(f.type) for f in kind.fields if not f.required}
    return st.fixed_dictionaries(required, optional=optional)


def _of_scalar(kind: inspect.Type) -> st.SearchStrategy[Any]:
    match kind:
        case inspect.IntType():
            low = (
                -LARGEST_INT
                if kind.ge is None and kind.gt is None
                else int(kind.ge or 0) + (kind.gt is not None)
            )
            return st.integers(low, LARGEST_INT if kind.le is None else int(kind.le))
        case inspect.FloatType():
            low = kind.gt if kind.gt is not None else kind.ge
            return st.floats(
                low, kind.le, exclude_min=kind.gt is not None, allow_nan=False, allow_infinity=False
            )
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.AnyType():
            return FREE_FORM
    raise AssertionError(f"no strategy for {kind}")


def places(tree: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a tree."""
    found: list[tuple[Any, Any]] = []
    stack = [tree]
    while stack:
        node = stack.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node))
        for key in keys:
            found.append((node, key))
            if isinstance(node[key], dict | list):
                stack.append(node[key])
    return found


ODD_NUMBERS = (-1, 0, 2, -0.5, 1.5, 2.0, 1e301, float("nan"), float("inf"), 2**63, 10**30, -(10**30))
ODD_TEXTS = ("", "a/b", "x\n", "\x00", "y" * 5000)
ODD_SHAPES = ([], {}, [1], {"a": 1}, ["a", "b"], {"": 0}, {"a/b": {"c": {"d": -1}}})
ODD_VALUES = st.sampled_from([None, True, *ODD_NUMBERS, *ODD_TEXTS, *ODD_SHAPES])


@st.composite
def damaged(draw: st.DrawFn, record: type[msgspec.Struct]) -> Any:
    """Plain data of a record in which up to three places have been changed."""
    tree = msgspec.json.decode(msgspec.json.encode(draw(records(record))))
    for _ in range(draw(st.integers(1, 3))):
        found = places(tree)
        container, key = draw(st.sampled_from(found)) if found else (tree, "models")
        change = draw(st.sampled_from(("replace", "remove", "add")))
        if change == "replace" or not found:
            container[key] = deepcopy(draw(ODD_VALUES))  # later damage may hit it
        elif change == "remove":
            del container[key]
        elif isinstance(container, dict):
            container[draw(TEXT)] = deepcopy(draw(ODD_VALUES))
        else:
            container.append(deepcopy(draw(ODD_VALUES)))
    return tree
