"""The model that answers: replaced when its files or its alias are others, kept if that fails."""

from __future__ import annotations

import asyncio
import shutil

import pytest

from pamela.core.errors import PamelaError
from pamela.serving.http.current_model import CurrentModel
from pamela.serving.requests.pictures import PictureDoor
from tests.helpers.http_kit import serve_the_other


def current(project, uri: str) -> CurrentModel:
    return CurrentModel(uri, project, PictureDoor(None), 64)


def replace(folder) -> str:
    """Put another bundle in the place of the one at `folder`, and return its version."""
    aside = shutil.copytree(folder, folder.with_name("aside"))
    version = serve_the_other(aside)
    shutil.rmtree(folder)
    aside.rename(folder)
    return version


def test_a_folder_that_was_replaced_is_loaded_again(small_project):
    folder = small_project.models / "bundle"
    model = current(small_project, str(folder))
    before = model.now
    asyncio.run(model.refresh())
    assert model.now is before
    version = replace(folder)
    asyncio.run(model.refresh())
    assert model.now is not before
    assert model.now.reward.version == version != before.reward.version
    assert model.now.reward.people is not None


def test_what_cannot_be_loaded_leaves_the_model_that_answers(small_project, caplog):
    folder = small_project.models / "bundle"
    model = current(small_project, str(folder))
    before = model.now
    content = (folder / "model.safetensors").read_bytes()
    (folder / "bundle.json").touch()
    (folder / "model.safetensors").write_bytes(content[:50])
    for _ in range(3):
        asyncio.run(model.refresh())
    assert model.now is before
    assert model.error
    assert len(caplog.records) == 1
    (folder / "model.safetensors").write_bytes(content)
    asyncio.run(model.refresh())
    assert (model.now is before, model.error) == (False, None)


def test_a_model_that_is_not_there_is_one_line(small_project, tmp_path):
    for uri, says in (
        ("models:/pamela@winner", "no alias 'winner'; there are versions 1"),
        ("models:/other@champion", "no such registered model"),
        ("models:/pamela", "not a model URI"),
        (str(tmp_path / "none"), "no bundle.json"),
    ):
        with pytest.raises(PamelaError, match=says):
            current(small_project, uri)
    with pytest.raises(PamelaError, match="inside its project"):
        current(None, "models:/pamela@champion")
