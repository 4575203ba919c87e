"""Which project modules a module imports, found with `ast`: the truth for dvc.yaml's deps."""

from __future__ import annotations

import ast
import re
from pathlib import Path

PACKAGES = ("pamela", "flows", "benchmarks")
GRAPHS = ("dvc.yaml", "ablation/dvc.yaml")
CODE_MARK = "# code (python -m tests.closure)"
# What a module reads beside its code: no import shows it.
TEMPLATES = "pamela/templates"
SHARED_TEMPLATES = (f"{TEMPLATES}/macros.html.j2", f"{TEMPLATES}/style.css.j2")
DATA_OF = {
    "pamela/reporting/ablation_page.py": (f"{TEMPLATES}/ablation.html.j2", *SHARED_TEMPLATES),
    "pamela/reporting/report.py": (f"{TEMPLATES}/report.html.j2", *SHARED_TEMPLATES),
    "pamela/reporting/sections/people.py": (f"{TEMPLATES}/people.html.j2",),
    "pamela/explain/concepts.py": ("pamela/concepts/general.yaml",),
    "pamela/reporting/data_docs/page.py": (f"{TEMPLATES}/data.html.j2", *SHARED_TEMPLATES),
}
# Modules chosen by name at run time, as "package.module:Class" text in the source.
_DYNAMIC = re.compile(r"^(pamela(?:\.\w+)+):\w+$")


def module_path(root: Path, name: str) -> Path | None:
    """Return the file of module `name` below `root`, or None if it is not the project's."""
    if name.split(".")[0] not in PACKAGES:
        return None
    base = root.joinpath(*name.split("."))
    if base.with_suffix(".py").is_file():
        return base.with_suffix(".py")
    init = base / "__init__.py"
    return init if init.is_file() else None


def _is_type_checking(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    )


def _walk(node: ast.AST) -> list[ast.AST]:
    """All nodes below `node`, function bodies included, TYPE_CHECKING blocks left out."""
    found: list[ast.AST] = []
    for child in ast.iter_child_nodes(node):
        if _is_type_checking(child):
            continue
        found.append(child)
        found.extend(_walk(child))
    return found


def direct_imports(path: Path, package: str) -> set[str]:
    """Return dotted names that `path` (a module in `package`) imports, lazily or not."""
    names: set[str] = set()
    for node in _walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parent, base]) if base else ".".join(parent)
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            match = _DYNAMIC.match(node.value)
            if match:
                names.add(match.group(1))
    return names


def import_closure(root: Path, module: str) -> set[str]:
    """Return the project files (relative, posix) that running `module` may import."""
    todo, seen = [module], set[Path]()
    while todo:
        name = todo.pop()
        parts = name.split(".")
        for end in range(1, len(parts) + 1):  # a submodule imports its packages as well
            path = module_path(root, ".".join(parts[:end]))
            if path is None or path in seen:
                continue
            seen.add(path)
            is_init = path.name == "__init__.py"
            own = ".".join(parts[:end])
            todo.extend(direct_imports(path, own if is_init else own.rpartition(".")[0]))
    return {p.relative_to(root).as_posix() for p in seen}


def code_deps(root: Path, module: str) -> list[str]:
    """Return the closure as dvc.yaml lists it: single modules, and subpackages as folders."""
    closure = import_closure(root, module)
    data = {name for path, names in DATA_OF.items() if path in closure for name in names}
    return sorted({"/".join(path.split("/")[:2]) for path in closure} | data)


def rewrite(root: Path, graph: str) -> None:
    """Replace what follows each ``# code`` mark in a dvc.yaml with the stage's closure now."""
    lines, out, module, skipping = (root / graph).read_text().splitlines(), [], "", False
    for line in lines:
        if line.strip().startswith("cmd: python -m "):
            module = line.split()[-1]
        if skipping and line.startswith("      - "):
            continue
        skipping = False
        out.append(line)
        if line.strip() == CODE_MARK:
            out += [f"      - {dep}" for dep in code_deps(root, module)]
            skipping = True
    (root / graph).write_text("\n".join(out) + "\n")


if __name__ == "__main__":  # python -m tests.closure: bring the code deps up to date
    for graph in GRAPHS:
        rewrite(Path.cwd(), graph)
