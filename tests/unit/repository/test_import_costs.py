"""What a command loads: modules that cost time are imported only where they are needed.

Told by ``sys.modules`` of a fresh process and not by a clock, which would tell how busy the machine
is.
"""

from __future__ import annotations

import json

import pytest

from tests.conftest import must
from tests.helpers.small_model import NEW, PICTURES
from tests.paths import ROOT

LOADED = """
import json, sys

def tell():
    names = [name.split(".") for name in sys.modules]
    print(json.dumps(sorted({".".join(name[:n]) for name in names for n in (1, 2)})))

"""
HELP = """
import contextlib, io
from pamela.cli.app import app
with contextlib.redirect_stdout(io.StringIO()) as page:
    app(["--help"], standalone_mode=False)
assert "score" in page.getvalue()
"""
SCORE = """
import pamela
reward = pamela.load("models:/pamela@champion")
sources = {one.source for one in reward.score(user=USER, images=IMAGES, prompt=PROMPT)}
assert sources == {"seen"}, sources
"""
# Fitting, encoding, reports and services: none of it is needed to score a known picture.
HEAVY = {"torch", "open_clip", "timm", "mlflow", "prefect", "lightning", "sklearn", "matplotlib"}
HEAVY |= {"pandas", "pyarrow", "PIL", "great_expectations", "rich"}


def loaded(folder, code) -> set[str]:
    """Return the packages, and what is right in them, that a fresh process has after `code`."""
    words = must(folder, "python", "-c", f"{LOADED}{code}\ntell()", PYTHONPATH=str(ROOT))
    return set(json.loads(words))


def test_import_pamela_loads_nothing():
    assert not loaded(ROOT, "import pamela") & {"numpy", "polars", "pydantic", "typer", *HEAVY}


def test_help_loads_no_table_or_model_library():
    assert not loaded(ROOT, HELP) & {"numpy", "polars", "scipy", "pydantic", *HEAVY} - {"rich"}


def score(images, prompt=None) -> str:
    code = SCORE.replace("USER", repr("synthetic/p000")).replace("IMAGES", repr(images))
    return code.replace("PROMPT", repr(prompt))


def test_scores_of_known_pictures_load_only_what_they_need(small_project):
    known = [f"data/pictures/i{number:02d}.png" for number in (0, PICTURES - 1)]
    # `import scipy` is nothing yet: its parts are imported where they are first used
    parts = {"scipy.sparse", "scipy.linalg", "scipy.optimize", "scipy.special"}
    assert not loaded(small_project.root, score(known)) & (HEAVY | parts)


def test_scores_of_new_pictures_and_prompts_load_the_encoder_alone(small_project):
    found = loaded(small_project.root, score(list(NEW[:3]), "a red barn at dusk"))
    assert not found & HEAVY - {"torch", "PIL"}
    assert "torch" in found


def test_publishing_what_is_there_already_loads_what_reads_it():
    found = loaded(ROOT, "import flows.publish")
    assert not found & {"torch", "mlflow", "prefect", "matplotlib"}


def test_a_network_predicts_without_what_trains_it():
    found = loaded(ROOT, "import pamela.models.transformer.model")
    assert not found & {"lightning", "torchmetrics", "torchvision", "matplotlib"}


@pytest.mark.parametrize("name", ["Reward", "Score", "User", "load"])
def test_public_names_are_found_on_first_use(name):
    import pamela

    assert name in pamela.__all__
    assert getattr(pamela, name).__name__ == name
