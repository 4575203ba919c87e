"""The wheel scores in an environment that holds what it asks for and nothing else.

The environment is made of the packages that are installed here: those that the wheel requires, and
what they require, are linked into a fresh one. So no network is needed, and what is missing from
the requirements is missing there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import pamela
from tests.helpers.small_model import NEW, make_small_project
from tests.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PROMPT = "a red barn at dusk"
ABSENT = ("prefect", "dvc", "great_expectations", "mlflow", "lightning", "sklearn", "pandas",
          "pyarrow", "cv2", "matplotlib", "fastapi", "psutil", "flows")  # fmt: skip
DATA = (
    "pamela/py.typed",
    "pamela/explain/concepts/general.yaml",
    "pamela/features/encoders/embedded_clip/open_clip_model.safetensors",
    "pamela/features/encoders/embedded_clip/open_clip_config.json",
    "pamela/features/encoders/embedded_clip/vocabulary.txt",
    "pamela/features/encoders/embedded_clip/CARD.md",
    "pamela/steer/language_model/weights/model.safetensors",
    "pamela/steer/language_model/weights/config.json",
    "pamela/steer/language_model/weights/generation_config.json",
    "pamela/steer/language_model/weights/tokenizer.json",
    "pamela/steer/language_model/weights/tokenizer_config.json",
    "pamela/steer/language_model/weights/chat_template.jinja",
    "pamela/steer/language_model/CARD.md",
)
CODE = """
import json, pamela
reward = pamela.load("bundle")
user, new, known = "p001", ["barn.png", "lake.png"], ["known.png"]
me = reward.adapt(ratings=[(new[0], 5), (known[0], 1)])
found = [
    reward.score(user=user, images=known),
    reward.score(user=user, images=new, prompt="a red barn at dusk"),
    reward.score(user=me, images=new),
]
assert reward.suggest(user=me, n=3) and reward.explain(user="p001").concepts.height
print(json.dumps([[one.rating for one in scores] for scores in found]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the tracked files, with the backend that pyproject.toml names."""
    source = tmp_path_factory.mktemp("source")
    listed = subprocess.run(
        ["git", "ls-files", "pamela", "flows", "pyproject.toml", "README.md", "LICENSE"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in listed.stdout.split():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    code = "from setuptools import build_meta; build_meta.build_wheel('dist')"
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True)
    (found,) = (source / "dist").glob("pamela-*.whl")
    return found


def needed(requirements: Iterable[str], extras: frozenset[str] = frozenset()) -> set[str]:
    """Return the names of all packages that `requirements` need, as installed here."""
    found: dict[str, frozenset[str]] = {}
    todo = [(Requirement(text), extras) for text in requirements]
    while todo:
        one, asked = todo.pop()
        if one.marker and not any(one.marker.evaluate({"extra": e}) for e in asked or {""}):
            continue
        name = one.name.lower().replace("_", "-")
        wanted = frozenset(one.extras)
        if wanted <= found.get(name, frozenset()) and name in found:
            continue
        found[name] = found.get(name, frozenset()) | wanted
        try:
            package = distribution(one.name)
        except PackageNotFoundError:
            pytest.skip(f"{one} is not installed here")
        assert one.specifier.contains(package.version, prereleases=True), (one, package.version)
        todo += [(Requirement(text), found[name]) for text in package.requires or []]
    return set(found)


def link(package: Distribution, folder: Path) -> None:
    """Link the top-level files and folders of an installed package into `folder`."""
    for file in package.files or []:
        top = file.parts[0]
        place = Path(str(package.locate_file(top)))
        if top not in ("..", "__pycache__") and place.exists() and not (folder / top).exists():
            (folder / top).symlink_to(place)


@pytest.fixture(scope="module")
def fresh(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of an environment with the wheel and what it requires."""
    home = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    (site,) = home.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)
    (info,) = site.glob("pamela-*.dist-info")
    for name in needed(Distribution.at(info).requires or []):
        link(distribution(name), site)
    return home / "bin" / "python"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder, outside any project, with a bundle and pictures."""
    project = make_small_project(tmp_path_factory.mktemp("made") / "project")
    folder = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(project.models / "bundle", folder / "bundle")
    shutil.copyfile(project.root / "data/pictures/i03.png", folder / "known.png")
    for name in NEW:
        shutil.copyfile(project.root / name, folder / name)
    return folder


def run(python: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(
        [str(python), *words], cwd=folder, env=env, capture_output=True, text=True, timeout=300
    )


def test_the_wheel_holds_the_package_and_its_data(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert not [name for name in DATA if name not in names]
    assert [name for name in names if name.endswith(".html.j2")]
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"pamela"}
    assert not [name for name in names if "test" in Path(name).stem.split("_")]


def test_it_scores_as_here_without_what_scoring_does_not_need(fresh: Path, place: Path) -> None:
    absent = f"import importlib.util as u; print([n for n in {ABSENT} if u.find_spec(n)])"
    assert run(fresh, place, "-c", absent).stdout.strip() == "[]"
    there = run(fresh, place, "-c", CODE)
    assert there.returncode == 0, there.stderr[-3000:]
    reward = pamela.load(place / "bundle")
    new = [place / name for name in NEW[:2]]
    me = reward.adapt(ratings=[(new[0], 5), (place / "known.png", 1)])
    expected = [
        reward.score(user="p001", images=[place / "known.png"]),
        reward.score(user="p001", images=new, prompt=PROMPT),
        reward.score(user=me, images=new),
    ]
    for got, want in zip(json.loads(there.stdout), expected, strict=True):
        assert got == pytest.approx([one.rating for one in want], abs=1e-4)


def test_its_command_scores_and_says_what_is_missing(fresh: Path, place: Path) -> None:
    command = ("-m", "pamela.cli")
    done = run(fresh, place, *command, "score", "--model", "bundle", "barn.png")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["source"] == "population"
    shutil.copyfile(ROOT / "params.yaml", place / "params.yaml")  # a project, for the others
    for words in (
        ("import", "tables", ".", "--name", "x"),
        ("retrain", "--once"),
        ("explain", "--model", "bundle", "--user", "p001", "--plot", "x.png"),
    ):
        failed = run(fresh, place, *command, *words)
        assert failed.returncode == 1, (words, failed.stdout)
        (line,) = failed.stderr.splitlines()
        assert line.startswith("error: ")
        assert "pip install 'pamela[pipeline]'" in line


def test_importing_it_takes_less_than_a_second_of_cpu(fresh: Path, place: Path) -> None:
    done = run(fresh, place, "-c", "import time, pamela; print(time.process_time())")
    assert float(done.stdout) < 1.0
