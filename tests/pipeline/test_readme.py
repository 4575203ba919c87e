"""What the README names is there, and CI runs its test commands."""

from __future__ import annotations

import re

from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()
FENCE = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Every command of the README's bash blocks, without its comment."""
    lines = "".join(FENCE.findall(README)).splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.strip()]


def test_ci_runs_the_readmes_test_commands():
    ci = [line for line in (ROOT / ".ci/run").read_text().splitlines() if line.startswith("make")]
    wanted = ("make extras", "make test")
    assert ci == [c for c in commands() if c.startswith(wanted)]


def test_every_make_target_of_the_readme_exists():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"`?make ([a-z-]+)", README))
    assert {"repro", "ui", "test", "test-slow", "bench"} <= targets
    missing = [t for t in targets if not re.search(rf"^{t}:", makefile, re.MULTILINE)]
    assert not missing


def test_every_file_that_the_readme_links_exists():
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    missing = [link for link in links if not (ROOT / link).exists()]
    assert links
    assert not missing
