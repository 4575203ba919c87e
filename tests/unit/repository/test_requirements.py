"""pyproject.toml names what the code imports, in the extra that the error messages name."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from pamela.core.errors import EXTRAS, PamelaError, missing_package, require
from tests.helpers.extras import PACKAGES, summary
from tests.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINNED = dict(
    line.split("==")
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if not line.startswith("#")
)
OURS = {"pamela", "flows"}
# runs alone in environments of other packages, which no extra brings
ELSEWHERE = ROOT / "pamela/steer/worker.py"
EVERY = ("dask", "pipeline", "ray", "serve", "steer", "study", "transformers")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(*extras: str) -> dict[str, Requirement]:
    """Return what is asked for, by name: the dependencies and those of `extras`."""
    lines = [*PROJECT["dependencies"]]
    for extra in extras:
        lines += PROJECT["optional-dependencies"][extra]
    found = [Requirement(line) for line in lines]
    return {canonical(one.name): one for one in found if one.name != "pamela"}


def imported() -> set[str]:
    """Return the third-party packages that the code imports, by import name."""
    found = set()
    for folder in OURS:
        for path in {*(ROOT / folder).rglob("*.py")} - {ELSEWHERE}:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    found |= {name.name.partition(".")[0] for name in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    found.add(node.module.partition(".")[0])
    return found - OURS - sys.stdlib_module_names


def test_every_imported_package_is_asked_for():
    given = declared(*EVERY)
    owners = packages_distributions()  # of an extra that is not installed, the name is as good
    names = {
        package: {canonical(name) for name in owners.get(package, [package])}
        for package in imported()
    }
    assert {package for package, own in names.items() if not own & set(given)} == set()


@pytest.mark.parametrize("package", sorted(EXTRAS))
def test_a_missing_package_is_told_with_its_extra(package, monkeypatch):
    brings = {"psycopg2": ["psycopg2-binary"]}.get(package, [package])  # where it is not installed
    own = {canonical(name) for name in packages_distributions().get(package, brings)}
    assert own & set(declared(EXTRAS[package])) - set(declared())
    monkeypatch.setattr("pamela.core.errors.find_spec", lambda name: None)
    with pytest.raises(PamelaError, match=rf"^it needs .*'pamela\[{EXTRAS[package]}\]'"):
        require(package, "it")
    assert "constraints.txt" in str(missing_package(package, "it"))


def test_make_extras_installs_the_extras_that_tests_ask_for():
    (line,) = re.findall(r"^EXTRAS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    installed = set(line.split(","))
    brought = {name for extra in installed for name in declared(extra)}
    asked = {name for extra in PACKAGES for name in declared(extra)}
    assert installed <= set(PROJECT["optional-dependencies"])
    assert asked <= brought


def test_what_was_skipped_for_want_of_an_extra_is_counted():
    reason = "('tests/x.py', 3, 'Skipped: needs the extra `{}`')"
    said = summary([*[reason.format("steer")] * 2, reason.format("study"), "Skipped: no disk"])
    assert said[:2] == [
        "skipped: 2 tests of the extra `steer`",
        "skipped: 1 tests of the extra `study`",
    ]
    assert "make extras" in said[2]
    assert summary(["Skipped: no disk"]) == []


def test_dev_brings_what_the_code_imports():
    (own,) = [one for one in PROJECT["optional-dependencies"]["dev"] if one.startswith("pamela")]
    assert Requirement(own).extras == {"pipeline", "serve"}


@pytest.mark.parametrize("name", sorted(declared(*EVERY)))
def test_the_tested_set_is_within_the_bounds(name):
    one = declared(*EVERY)[name]
    pinned = {canonical(key): value for key, value in PINNED.items()}[name]
    assert one.specifier.contains(Version(pinned), prereleases=True)


def test_gradio_installs_beside():
    """Gradio 6.31 wants pillow below 13: a bound that shuts it out makes pip take one of 2023."""
    assert declared()["pillow"].specifier.contains("12.0.0")
