"""docs/bad-data.md names the cases that the tests know, and no others."""

from __future__ import annotations

import importlib
import re

from tests.helpers.folders import ROOT

HOME = "tests/unit/data/"
MODULES = ("test_bad_data", "test_bad_data_pictures", "test_bad_data_odd", "test_bad_data_choices")
ROW = re.compile(
    r"^\| `(?P<case>[a-z0-9-]+)` \|.+\| `(?P<file>tests/[\w/]+\.py)(::(?P<test>\w+))?` \|$"
)


def test_the_table_and_the_tests_name_the_same_cases() -> None:
    text = (ROOT / "docs" / "bad-data.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    found = [match for line in lines if (match := ROW.match(line))]
    assert len(found) == len(lines), [line for line in lines if not ROW.match(line)]
    names = [row["case"] for row in found]
    assert len(names) == len(set(names))
    for name in MODULES:
        cases = importlib.import_module(f"tests.unit.data.{name}").CASES
        rows = [r["case"] for r in found if r["file"] == f"{HOME}{name}.py" and not r["test"]]
        assert sorted(rows) == sorted(case.name for case in cases), name
    for row in found:
        if row["test"]:
            assert f"def {row['test']}(" in (ROOT / row["file"]).read_text(), row["case"]
        else:
            assert row["file"].removeprefix(HOME).removesuffix(".py") in MODULES


def test_every_rule_of_the_suites_is_in_the_table() -> None:
    text = (ROOT / "docs" / "bad-data.md").read_text(encoding="utf-8")
    for path in (ROOT / "expectations").glob("*.json"):
        for rule, severity in re.findall(r'"rule": "(\w+)", "severity": "(\w+)"', path.read_text()):
            assert severity == "structural" or f"`{rule}`" in text, rule
