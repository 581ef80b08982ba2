"""Draw the figures of the catalogue: import what draws, read what it is drawn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

from posttx.files import read_parquet
from posttx.reporting.figures import CATALOGUE
from posttx.reporting.figures_training import read_folds

Files = str | Path | Sequence[str | Path]
# What is no table.
READERS: dict[str, Callable[[list[Path]], Any]] = {"folds": read_folds}


def draw_figures(inputs: Mapping[str, Files], outputs: Mapping[str, str | Path], parameters: Mapping[str, Any]) -> None:
    """Draw ``outputs`` (id of a figure -> path) from ``inputs`` (argument of its function -> file or files).

    An input without a file (the confusion of a model known by counts) is an empty table, of which a figure says that
    there is nothing to show.
    """
    tables = {name: _read(name, files) for name, files in inputs.items()}
    for name, path in outputs.items():
        figure = CATALOGUE[name]
        given = {argument: tables[argument] for argument in figure.inputs}
        function_of(figure.draw)(**given, **{key: parameters[key] for key in figure.parameters}, path=path)


def function_of(name: str) -> Callable[..., None]:
    """Return the function that is called ``module:function``."""
    module, function = name.split(":")
    return getattr(import_module(module), function)


def _read(name: str, files: Files) -> Any:
    paths = [Path(file) for file in ([files] if isinstance(files, str | Path) else files)]
    if name in READERS:
        return READERS[name](paths)
    return read_parquet(paths[0]) if paths else pd.DataFrame()
