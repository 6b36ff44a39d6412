"""Predictors of modules as folders: `modules.json`, a file for each module, and one that MEDN's modules share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from dnnplan.costs.predict.files import load_model, save_model
from dnnplan.costs.predict.medn_files import MAX_MODULES, load_medn, save_medn
from dnnplan.costs.predict.module_model import BLEND, KINDS, MEDN, ModuleModel
from dnnplan.instances.atomic import write_text
from dnnplan.instances.errors import FormatError, InputError
from dnnplan.instances.files import read_bytes
from dnnplan.instances.prepared import prepared
from dnnplan.instances.wording import unknown

FILE, SHARED = "modules.json", "medn.npz"
MAX_BYTES = 2**20
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\.npz")


class ModuleRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A module: its name, its kind of model, and the file of what is not MEDN."""

    module: Annotated[str, Meta(min_length=1, max_length=200)]
    kind: str
    file: str | None = None


class ModulesRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`modules.json`."""

    format: Literal["dnnplan-modules-1"]
    modules: Annotated[list[ModuleRecord], Meta(min_length=1, max_length=MAX_MODULES)]
    medn: str | None = None


def save_modules(model: ModuleModel, folder: Path, *, overwrite: bool = False) -> int:
    """Write a predictor into a folder, which is made; its bytes. Decoders of other modules are left out.

    Raises
    ------
    InputError
        The folder holds one already, and `overwrite` is not given.
    """
    if (folder / FILE).exists() and not overwrite:
        raise InputError("there is a predictor of modules already", source=str(folder))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).unlink(missing_ok=True)
    size, records = 0, []
    for at, (module, kind) in enumerate(model.kinds.items()):
        file = f"module-{at}.npz" if module in model.operators else None
        if file is not None:
            size += save_model(model.operators[module], folder / file)
        records.append(ModuleRecord(module, kind, file))
    shared = [module for module, kind in model.kinds.items() if MEDN in kind]
    if model.medn is not None and shared:
        size += save_medn(model.medn.only(shared), folder / SHARED)
    record = ModulesRecord("dnnplan-modules-1", records, SHARED if shared else None)
    text = msgspec.json.format(msgspec.json.encode(record), indent=1)
    # The header comes last and at once: a folder that has it has its models.
    write_text(text.decode(), folder / FILE, overwrite=True)
    return size + len(text)


def load_modules(folder: Path) -> ModuleModel:
    """Read a predictor that `save_modules` wrote; PyTorch is not needed.

    Raises
    ------
    FormatError
        `modules.json` is missing, damaged or of another version, names a file that is no plain name or leads out
        of the folder, or a file is missing or damaged: no module is left out.
    """
    path = folder / FILE
    if not path.is_file():
        raise FormatError(f"no {FILE} here", source=str(folder))
    data, _, label = read_bytes(path, MAX_BYTES)
    try:
        return _model(msgspec.json.decode(data, type=prepared(ModulesRecord)), folder)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"not a predictor of modules: {error}", source=label) from None
    except OSError as error:
        raise FormatError(f"a file cannot be read: {error.filename}", source=label) from None
    except FormatError as error:
        raise error if error.source else FormatError(str(error), source=label) from None


def _model(record: ModulesRecord, folder: Path) -> ModuleModel:
    medn = None if record.medn is None else load_medn(_inside(folder, record.medn))
    kinds: dict[str, str] = {}
    operators = {}
    for module in record.modules:
        if module.module in kinds:
            raise FormatError(f"module {module.module!r} is there twice")
        if module.kind not in KINDS:
            raise FormatError(unknown("model", module.kind, KINDS))
        if (module.file is None) != (module.kind == MEDN):
            raise FormatError(
                f"module {module.module!r}: a {module.kind} {_has(module.file)} file of its own"
            )
        if MEDN in module.kind and (medn is None or module.module not in medn.heads):
            raise FormatError(f"module {module.module!r}: no decoder of MEDN")
        kinds[module.module] = module.kind
        if module.file is not None:
            operators[module.module] = load_model(_inside(folder, module.file))
            _check_kind(module, operators[module.module].kind)
    return ModuleModel(kinds, operators, medn)


def _has(file: str | None) -> str:
    return "without a" if file is None else "with a"


def _check_kind(module: ModuleRecord, found: str) -> None:
    wanted = "ensemble" if module.kind == BLEND else module.kind
    if found != wanted:
        raise FormatError(f"module {module.module!r}: its file holds a {found}, expected a {wanted}")


def _inside(folder: Path, name: str) -> Path:
    """The path of a file of the folder itself."""
    if not _PLAIN.fullmatch(name) or (folder / name).resolve().parent != folder.resolve():
        raise FormatError(f"{name!r} is not the plain name of a .npz file in this folder")
    return folder / name
