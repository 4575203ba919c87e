"""No path is a pattern: Polars expands ``[x]``, ``*`` and ``?`` unless it is told not to."""

from __future__ import annotations

import ast

from tests.paths import ROOT

EXPANDING = {"read_parquet", "scan_parquet", "read_csv", "scan_csv", "scan_ndjson", "read_ipc"}


def test_polars_is_told_that_a_path_is_no_pattern() -> None:
    calls = (
        (path.relative_to(ROOT), call)
        for folder in ("pamela", "flows")
        for path in (ROOT / folder).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        if isinstance(call.func, ast.Attribute) and call.func.attr in EXPANDING
        if ast.unparse(call.func.value) == "pl"
    )
    patterns = [
        f"{path}:{call.lineno}"
        for path, call in calls
        if "glob=False" not in ast.unparse(call) and "glob.escape" not in ast.unparse(call)
    ]
    assert patterns == []
