"""Predictors as folders: `predictor.json`, and a file without pickle for each module."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from dnnplan.costs.predict.files import load_model, save_model
from dnnplan.costs.predict.records import composition_from, composition_record
from dnnplan.costs.runtime.kernels import MODULES
from dnnplan.costs.runtime.predictor import About, Fallback, RuntimePredictor
from dnnplan.costs.runtime.processor import BLOCK
from dnnplan.instances.atomic import write_text
from dnnplan.instances.errors import FormatError, InputError
from dnnplan.instances.files import read_bytes
from dnnplan.instances.prepared import prepared

FILE = "predictor.json"
VERSION = "dnnplan-predictor-1"
MAX_BYTES = 4 * 2**20
Positive = Annotated[float, Meta(gt=0)]
Text = Annotated[str, Meta(max_length=200)]


class FallbackRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`Fallback`, in SI units."""

    overhead: Annotated[float, Meta(ge=0)]
    rate: Positive
    bandwidth: Positive
    spread: Annotated[float, Meta(ge=0, le=10)]


class AboutRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`About`."""

    device: Text
    runtime: Text
    threads: Annotated[int, Meta(ge=1, le=4096)]
    utilisation: Annotated[float, Meta(ge=0, le=1)]
    kernels: Annotated[int, Meta(ge=0)]
    networks: Annotated[int, Meta(ge=0)]
    block: Annotated[int, Meta(ge=1, le=64)] = BLOCK


class PredictorRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`predictor.json`: modules have their errors here and their regressions in `MODULE.npz`."""

    format: Literal["dnnplan-predictor-1"]
    about: AboutRecord
    modules: dict[str, Annotated[float, Meta(ge=0, le=10)]]
    composition: dict[str, Any]
    fallback: FallbackRecord
    scale: dict[str, Positive] = {}


def save_predictor(predictor: RuntimePredictor, folder: Path, *, overwrite: bool = False) -> int:
    """Write a predictor into a folder, which is made; its bytes.

    Raises
    ------
    InputError
        The folder holds a predictor already, and `overwrite` is not given.
    """
    if (folder / FILE).exists() and not overwrite:
        raise InputError("there is a predictor already", source=str(folder))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).unlink(missing_ok=True)
    size = sum(save_model(model, folder / f"{name}.npz") for name, model in predictor.models.items())
    record = PredictorRecord(
        format="dnnplan-predictor-1",
        about=AboutRecord(**vars(predictor.about)),
        modules={name: predictor.spread[name] for name in predictor.models},
        composition=composition_record(predictor.composition),
        fallback=FallbackRecord(**vars(predictor.fallback)),
        scale=predictor.scale,
    )
    text = msgspec.json.format(msgspec.json.encode(record), indent=1)
    # The header comes last and at once: a folder that has it has its regressions.
    write_text(text.decode(), folder / FILE, overwrite=True)
    return size + len(text)


def load_predictor(folder: Path) -> RuntimePredictor:
    """Read a predictor that `save_predictor` wrote; nothing in it is run.

    Raises
    ------
    FormatError
        `predictor.json` is missing, damaged or of another version, names a module that there is not, or a file of
        a module is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        raise FormatError(f"no {FILE} here, expected a folder that `dnnplan train` wrote", source=str(folder))
    data, _, label = read_bytes(path, MAX_BYTES)
    try:
        record = msgspec.json.decode(data, type=prepared(PredictorRecord))
        unknown = sorted(set(record.modules) - set(MODULES))
        if unknown:
            raise FormatError(f"unknown module {unknown[0]!r}")
        return RuntimePredictor(
            {name: load_model(folder / f"{name}.npz") for name in record.modules},
            dict(record.modules),
            composition_from(record.composition),
            Fallback(**msgspec.structs.asdict(record.fallback)),
            About(**msgspec.structs.asdict(record.about)),
            dict(record.scale),
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"not a predictor: {error}", source=label) from None
    except FileNotFoundError as error:
        raise FormatError(f"a file is missing: {error.filename}", source=label) from None
    except FormatError as error:
        raise error if error.source else FormatError(str(error), source=label) from None
