"""What running a module may import, from grimp's import graph of `pamela` and `flows`.

Imports inside functions count; those under ``TYPE_CHECKING`` do not.
"""

from __future__ import annotations

import ast
from functools import cache

import grimp

from pamela.models import MODELS
from tests.paths import ROOT


@cache
def import_graph() -> grimp.ImportGraph:
    """Return the import graph, with the models that `pamela.models` imports by name."""
    graph = grimp.build_graph("pamela", "flows", exclude_type_checking_imports=True, cache_dir=None)
    for place in MODELS.values():
        graph.add_import(importer="pamela.models", imported=place.partition(":")[0])
    return graph


def reached_modules(module: str) -> set[str]:
    """Return `module` and all modules of the project that running it may import."""
    graph, found, todo = import_graph(), set[str](), [module]
    while todo:
        name = todo.pop()
        if name and name not in found:
            found.add(name)
            todo += graph.find_modules_directly_imported_by(name)
            todo.append(name.rpartition(".")[0])  # a module imports the packages that it lies in
    return found


def reached_files(module: str) -> set[str]:
    """Return the files of `reached_modules` that hold more than a docstring, below the root."""
    files = {file_of(name) for name in reached_modules(module)}
    return {name for name in files if len(ast.parse((ROOT / name).read_text()).body) > 1}


def file_of(module: str) -> str:
    """Return the file of a module of the project, relative to the root."""
    path = module.replace(".", "/")
    init = f"{path}/__init__.py"
    return init if (ROOT / init).is_file() else f"{path}.py"
