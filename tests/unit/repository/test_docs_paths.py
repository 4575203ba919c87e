"""The pages for people name only files, modules and pages that exist."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.paths import ROOT

PAGES = sorted(
    page.relative_to(ROOT)
    for page in (*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("docs/*.md"))
    if page.name != "log.md"  # history: what it names was there then
)
CODE = ("pamela/", "flows/", "tests/", "benchmarks/", "docs/", "expectations/", "ablation/")
NAMED = re.compile(r"`([\w./-]+)(?:::\w+)?`")
MODULE = re.compile(r"(?:`|python -m )(pamela(?:\.\w+)+|(?:flows|benchmarks|tests)\.\w[\w.]*)")
LINK = re.compile(r"\]\((?!http)([^)#\s]*\.[^)#]+)")


def tracked() -> set[str]:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(listed.stdout.split())


def absent(text: str, page_folder: str, files: set[str]) -> list[str]:
    """Return what `text` names and the repository lacks."""
    parts = [file.split("/") for file in files]
    folders = {"/".join(one[:n]) for one in parts for n in range(1, len(one))}
    there = files | folders
    lost = [name for name in LINK.findall(text) if not (ROOT / page_folder / name).exists()]
    for name in NAMED.findall(text):
        whole = name.rstrip("/")
        if name.startswith(CODE):
            lost += [name] if whole not in there else []
        elif name.endswith(".py"):  # below a folder that the sentence is about
            lost += [name] if not any(f.endswith(f"/{name}") for f in files) else []
    for name in MODULE.findall(text):
        parts = name.split(".")
        # a name of the package itself (`pamela.load`), else a module or a name in one
        places = ["/".join(parts[:n]) for n in range(len(parts), 1, -1)]
        found = any(f"{p}.py" in files or p in folders for p in places)
        lost += [] if found or (parts[0] == "pamela" and len(parts) == 2) else [name]
    return lost


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_what_a_page_names_exists(page) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert absent(text, str(page.parent), tracked()) == []


def test_a_lost_file_module_and_link_are_found() -> None:
    text = "`pamela/encoders/clip.py`, `base.py`, `pamela.data_docs.page`, [x](gone.md), `lost.py`"
    assert absent(text, "docs", tracked()) == [
        "gone.md", "pamela/encoders/clip.py", "lost.py", "pamela.data_docs.page",
    ]  # fmt: skip
