"""The JavaScript of Plotly as a page carries it: that of its Python package, without what reports do not use."""

from __future__ import annotations

import re

from dnnplan.instances.errors import MissingDependencyError

# The last thing the bundle does is to begin every kind of chart but scatter, which is always there:
# `.register([a(),b(),...])` with more than forty of them, bars first.
_REGISTERED = re.compile(r"\.register\(\[((?:[\w$]+\(\),){20,}[\w$]+\(\))\]\)")

# How a module is made, `W=(e,t)=>()=>{try{return t||e((t={exports:{}}).exports,t),t.exports}...`.
_WRAPPER = re.compile(
    r"[^\w$]([\w$]+)=\([\w$]+,[\w$]+\)=>\(\)=>[({](?:try\{return )?[\w$]+\|\|[\w$]+\(\([\w$]+=\{exports:\{\}\}\)"
)
_CALLED = re.compile(r"(?<![\w$.])([\w$]+)\(\)")


def plotly_source() -> str:
    """The source, ready to stand in a script element.

    Raises
    ------
    MissingDependencyError
        It is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise MissingDependencyError(
            'HTML reports need plotly: pip install "dnnplan[report]"; Markdown and CSV (--to md, --to csv) do not'
        ) from error
    # No text of the bundle may end the element that it stands in.
    return with_used_modules(with_bars_only(str(get_plotlyjs()))).replace("</script", "<\\/script")


def with_bars_only(source: str) -> str:
    """The bundle without what begins the kinds of charts that reports do not have: maps, volumes and the like.

    That is most of the time that it takes to start. A bundle in which the place, or bars, are not found where they
    are expected stays as it is.
    """
    found = list(_REGISTERED.finditer(source))
    if len(found) != 1:
        return source
    first = found[0].group(1).split("(", 1)[0]
    if not _is_bars(source, first):
        return source
    return f"{source[: found[0].start(1)]}{first}(){source[found[0].end(1) :]}"


def with_used_modules(source: str) -> str:
    """The bundle without the modules that nothing asks for any more: three quarters of what a browser has to read.

    Modules are functions that run when they are first called, `var name=wrap((exports,module)=>{...});` one after the
    other; a module is kept if its name is called, `name()`, outside of them, in the last one, which hands all of it on,
    or in one that is kept. A bundle that is not built like that stays as it is.
    """
    wrapper = _WRAPPER.search(source)
    if wrapper is None:
        return source
    begin = re.compile(rf"var ([\w$]+)={re.escape(wrapper.group(1))}\((?:\([\w$,]*\)|[\w$]+)=>\{{")
    found = list(begin.finditer(source))
    ends = [after.start() for after in found[1:]]
    texts = {m.group(1): source[m.start() : end] for m, end in zip(found[:-1], ends, strict=True)}
    if (
        len(texts) < len(found) - 1
        or len(found) < 2
        or not all(text.endswith("});") for text in texts.values())
    ):
        return source
    before, after = source[: found[0].start()], source[found[-1].start() :]
    kept, waiting = set[str](), _called(before + after) & texts.keys()
    while waiting:
        name = waiting.pop()
        kept.add(name)
        waiting |= _called(texts[name]) & (texts.keys() - kept)
    return before + "".join(text for name, text in texts.items() if name in kept) + after


def _called(text: str) -> set[str]:
    """Names that are called without arguments."""
    return set(_CALLED.findall(text))


def _is_bars(source: str, name: str) -> bool:
    """Whether a module of the bundle, or the one that it passes on, is the trace type ``bar``."""
    for _ in range(3):
        start = source.find(f"var {name}=")
        if start < 0:
            return False
        text = source[start : start + 2000].split("});var ", 1)[0]
        if 'moduleType:"trace",name:"bar"' in text:
            return True
        passed = re.search(r"\.exports=([\w$]+)\(\)\}?$", text)
        if passed is None:
            return False
        name = passed.group(1)
    return False
