"""The README's own commands: CI runs them, and they work in a fresh clone."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT, command_env, must

pytestmark = pytest.mark.xdist_group("full")  # one full-size run for both modules
README = (ROOT / "README.md").read_text()
FENCE = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Every command of the README's bash blocks, without its comment."""
    lines = "".join(FENCE.findall(README)).splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.strip()]


def test_ci_runs_the_readmes_test_commands():
    ci = [line for line in (ROOT / ".ci/run").read_text().splitlines() if line.startswith("make")]
    assert ci == [c for c in commands() if c.startswith("make test")]


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


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_readmes_commands_work_in_a_fresh_clone(full_run):
    """`make repro` at full size, then scoring."""
    assert "make repro" in commands()
    for word in ("paper", "population", "noise_ceiling", "Elo", "make ui"):
        assert word in full_run.printed
    assert "0 stages" in must(full_run.clone, *full_run.make, "repro", timeout=300)
    _scores_as_the_readme_says(full_run.clone)


def _scores_as_the_readme_says(clone: Path) -> None:
    code = """
import pamela
from pathlib import Path
reward = pamela.load("models:/pamela@champion")
pictures = sorted(Path("data/synthetic").rglob("*.jpg"))[:100]
user = reward.users[0]
one = reward.score(user=user, prompt="a red barn at dusk", images=pictures)
assert one == reward.score(user=user.split("/")[1], prompt="a red barn at dusk", images=pictures)
assert one[:3] != reward.score(user=None, images=pictures[:3])
print(len(one))
"""
    assert must(clone, "python", "-c", code).strip() == "100"
    line = next(c for c in commands() if c.startswith("pamela score"))
    picture = next(iter(sorted((clone / "data/synthetic").rglob("*.jpg"))))
    user = must(
        clone, "python", "-c", "import pamela; print(pamela.load('models/bundle').users[0])"
    ).strip()
    words = line.replace("synthetic/USER", user).replace("picture.png", str(picture))
    done = subprocess.run(
        ["bash", "-c", words], cwd=clone, env=command_env(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert '"percentile"' in done.stdout
