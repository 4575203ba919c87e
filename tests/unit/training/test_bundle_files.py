"""A bundle whose files are not as they were written is refused before anything of it is used."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import pamela
from pamela.core.errors import PamelaError
from pamela.models.base import Prediction
from pamela.registry.versions import resolve
from pamela.serving.http.current_model import CurrentModel
from pamela.serving.pyfunc import load_pyfunc
from pamela.serving.requests.pictures import PictureDoor
from pamela.training import bundle_files
from pamela.training.bundle import load_bundle, load_evaluated
from tests.helpers.small_model import NEW
from tests.helpers.small_registry import damage

OF_ONE = {"model.json": load_bundle, "model.safetensors": load_bundle}
OF_ONE |= {f"fold_0/{name}": load_evaluated for name in OF_ONE}  # the others both read


def cut(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])


def files(bundle: Path) -> list[str]:
    return [path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()]


@pytest.mark.parametrize("harm", [damage, cut, Path.unlink])
def test_a_file_that_is_not_as_it_was_written_is_named(small_template, tmp_path, harm):
    bundle = small_template.models / "bundle"
    names = files(bundle)
    assert len(names) == 10
    for number, name in enumerate(set(names) - {bundle_files.SUMS}):
        harmed = shutil.copytree(bundle, tmp_path / str(number))
        harm(harmed / name)
        for load in (load_bundle, load_evaluated):
            if OF_ONE.get(name, load) is load:
                with pytest.raises(PamelaError, match=rf"{number}.*(: no|{name.split('/')[-1]})"):
                    load(harmed)
            else:
                assert load(harmed).version


def test_a_bundle_without_its_list_is_refused(small_template, tmp_path):
    bundle = shutil.copytree(small_template.models / "bundle", tmp_path / "bundle")
    (bundle / bundle_files.SUMS).unlink()
    with pytest.raises(PamelaError, match=r"SHA256SUMS: no such file"):
        load_bundle(bundle)


def test_what_was_added_beside_a_bundle_is_no_damage(small_template, tmp_path):
    bundle = shutil.copytree(small_template.models / "bundle", tmp_path / "bundle")
    (bundle / "notes.txt").write_text("mine")
    assert load_bundle(bundle).version
    assert bundle_files.damaged_files(bundle) == []


@pytest.mark.parametrize(
    "text", ["", "x\n", "{digest}  ../model.json\n", "{digest}  /etc/passwd\n", "{digest}  ...\n"]
)
def test_a_list_that_is_none_or_leaves_the_folder_is_damaged(tmp_path, text):
    digest = hashlib.sha256(b"").hexdigest()
    (tmp_path / bundle_files.SUMS).write_text(text.format(digest=digest))
    assert bundle_files.damaged_files(tmp_path) == [bundle_files.SUMS]


def test_every_way_to_a_registered_model_refuses_a_damaged_one(small_project):
    uri = "models:/pamela@champion"
    folder = resolve(uri, small_project)
    damage(folder / "catalog.safetensors")
    ways = {
        "pamela.load": lambda: pamela.load(uri),
        "a folder": lambda: pamela.load(folder),
        "pamela serve": lambda: CurrentModel(uri, small_project, PictureDoor(None), 8),
        "mlflow models serve": lambda: load_pyfunc(str(folder)),
        "the gate": lambda: load_evaluated(folder),
    }
    for way, load in ways.items():
        with pytest.raises(PamelaError) as caught:
            load()
        said = str(caught.value)
        assert "catalog.safetensors: damaged or replaced" in said, way
        assert "`make repro` brings" in said, way
        assert "`pamela rollback`" in said, way


def test_another_whole_bundle_in_the_place_of_a_registered_one_is_refused(small_project):
    folder = resolve("models:/pamela@champion", small_project)
    (folder / "model.json").write_text((folder / "fold_0" / "model.json").read_text())
    bundle_files.write_sums(folder)
    assert bundle_files.damaged_files(folder) == []
    with pytest.raises(PamelaError, match="SHA256SUMS is damaged or replaced"):
        pamela.load("models:/pamela@champion")


def test_numbers_that_are_not_finite_are_no_answer(small_project):
    bundle = small_project.models / "bundle"
    arrays = load_file(bundle / "model.safetensors")
    spoilt = {
        name: np.full_like(a, np.nan) if a.dtype.kind == "f" else a for name, a in arrays.items()
    }
    save_file(spoilt, bundle / "model.safetensors")
    bundle_files.write_sums(bundle)
    reward = pamela.load(bundle)
    for image in (NEW[0], "data/pictures/i00.png"):
        with pytest.raises(PamelaError, match="not finite numbers"):
            reward.score(user="p000", images=[image])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("field", ["mean", "std"])
def test_a_prediction_is_finite(field, bad):
    numbers = {"mean": np.ones(3, np.float32), "std": np.ones(3, np.float32)}
    Prediction(**numbers)
    numbers[field][1] = bad
    with pytest.raises(PamelaError, match="1 of 3 predictions are not finite numbers"):
        Prediction(**numbers)
