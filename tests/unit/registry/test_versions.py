"""The registry: a first champion, challengers, moving the alias, finding the files again."""

from __future__ import annotations

import shutil

import pytest

from pamela.core.errors import PamelaError
from pamela.core.files import file_sha256
from pamela.core.paths import Project
from pamela.registry import healing, registration, versions
from pamela.registry.sqlite_reader import Version
from pamela.registry.tracking import publish
from pamela.reporting.ablation_runs import all_specs
from tests.helpers.made_up import make_project, params_of, write_bundle
from tests.helpers.small_registry import damage


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A project with one registered champion; MLflow's database is made only once."""
    project = make_project(tmp_path_factory.mktemp("registry") / "project")
    params = params_of(project)
    publish.publish(project, params, all_specs(project, params))
    assert registration.register_if_empty(project, params) == "1"
    return project


@pytest.fixture
def project(template, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Project(shutil.copytree(template.root, tmp_path / "moved"))


def test_the_first_model_becomes_champion_once(template):
    params = params_of(template)
    assert registration.register_if_empty(template, params) is None
    champion = versions.champion(template, params)
    assert (champion.version, champion.aliases) == ("1", ("champion",))
    assert champion.tags["model"] == "paper"
    assert champion.tags["seen_srocc"] == "0.420"
    assert healing.is_registered(template, params)


def test_the_version_is_linked_to_the_run_that_evaluated_it(template):
    params = params_of(template)
    client = publish.client_of(template, params)
    version = client.get_model_version(versions.NAME, "1")
    assert client.get_run(version.run_id).info.run_name == "paper · synthetic"


def test_the_glance_agrees_with_mlflow(template):
    params = params_of(template)
    client = publish.client_of(template, params)
    assert versions._versions(client, versions.NAME) == versions.list_versions(template, params)
    assert versions._aliases(client, versions.NAME) == versions.aliases_of(template, params)


def test_a_moved_project_loads_its_own_copy(project):
    for uri in ("models:/pamela@champion", "models:/pamela/1"):
        folder = versions.resolve(uri, project)
        assert folder.is_relative_to(project.mlartifacts)
        assert file_sha256(folder / "model.safetensors") == file_sha256(
            project.models / "bundle" / "model.safetensors"
        )


def test_the_registered_copy_survives_the_next_training(project):
    before = file_sha256(versions.resolve("models:/pamela@champion", project) / "bundle.json")
    write_bundle(project, "population")
    after = versions.resolve("models:/pamela@champion", project)
    assert file_sha256(after / "bundle.json") == before


def test_without_the_relative_path_mlflow_is_asked(project, template):
    params = params_of(project)
    shutil.rmtree(project.mlartifacts / "registry")
    folder = versions.resolve("models:/pamela@champion", project, params)  # the recorded source
    assert (folder / "bundle.json").is_file()
    assert folder.is_relative_to(template.mlartifacts)


def test_challenger_then_champion(project):
    params = params_of(project)
    assert registration.register_challenger(project, params) == "1"  # the same bundle
    write_bundle(project, "population")
    version = registration.register_challenger(project, params)
    assert version == "2"
    assert registration.register_challenger(project, params) == "2"
    aliases = {v.version: v.aliases for v in versions.list_versions(project, params)}
    assert aliases == {"1": ("champion",), "2": ("challenger",)}
    registration.set_champion(project, params, version, registration.Promotion("not worse"))
    aliases = {v.version: v.aliases for v in versions.list_versions(project, params)}
    assert aliases == {"1": ("previous",), "2": ("champion",)}
    assert versions.champion(project, params).tags["promoted_because"] == "not worse"
    assert versions.resolve("models:/pamela@champion", project) != versions.resolve(
        "models:/pamela/1", project
    )


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("models:/pamela@best", r"no alias 'best'; there are versions 1 and aliases champion"),
        ("models:/pamela/7", r"no version '7'; there are versions 1 and aliases champion"),
        ("models:/nobody@champion", "no such registered model"),
        ("models:/pamela", "not a model URI"),
        ("models:/a/b/c", "not a model URI"),
    ],
)
def test_what_is_not_there_is_named(template, uri, says):
    with pytest.raises(PamelaError, match=says) as caught:
        versions.resolve(uri, template)
    assert uri in str(caught.value)
    assert "\n" not in str(caught.value)


def test_lost_copies_are_restored(project):
    params = params_of(project)
    shutil.rmtree(project.mlartifacts / "registry")
    assert not healing.is_registered(project, params)
    assert healing.heal(project, params) == [
        "version 1: its files are gone; rebuilt from models/bundle",
        "version 1: noted beside the copies as what serves",
    ]
    assert healing.is_registered(project, params)
    assert healing.heal(project, params) == []
    assert versions.resolve("models:/pamela/1", project).is_relative_to(project.root)


def test_a_copy_from_before_files_were_listed_is_known_by_its_name(project):
    params = params_of(project)
    bundle = write_bundle(project, "population")
    (bundle / "SHA256SUMS").unlink()
    assert registration.register_challenger(project, params) == "2"
    assert healing.heal(project, params) == []
    damage(versions.resolve("models:/pamela/2", project) / "model.json")
    with pytest.raises(PamelaError, match=r"version 2 .* one of its files is damaged or replaced"):
        versions.resolve("models:/pamela/2", project)
    assert healing.heal(project, params) == [
        "version 2: one of its files is damaged or replaced; rebuilt from models/bundle"
    ]
    assert versions.resolve("models:/pamela/2", project)


def test_asking_an_empty_project_makes_no_database(tmp_path):
    project = make_project(tmp_path)
    with pytest.raises(PamelaError, match="make repro"):
        versions.resolve("models:/pamela@champion", project)
    assert not (tmp_path / "mlflow.db").exists()
    (tmp_path / "mlflow.db").touch()  # as sqlite3 leaves it where nothing is written
    with pytest.raises(PamelaError, match="make repro"):
        versions.resolve("models:/pamela@champion", project)
    assert not (tmp_path / "mlflow.db").stat().st_size


def test_a_database_that_the_environment_misnames_is_told(tmp_path, monkeypatch):
    project = make_project(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////nowhere/mlflow.db")
    with pytest.raises(PamelaError, match=r"MLFLOW_TRACKING_URI is sqlite:////nowhere/mlflow\.db"):
        versions.resolve("models:/pamela@champion", project)


def test_a_missing_bundle_is_named(project):
    shutil.rmtree(project.models / "bundle")
    with pytest.raises(PamelaError, match=r"no bundle\.json"):
        registration.register_challenger(project, params_of(project))


@pytest.mark.parametrize("path", ["/etc", "../other", "mlartifacts/../../other", ""])
def test_a_tag_that_leads_out_of_the_project_names_no_folder(path):
    assert Version("1", (), {"path": path}, "").path is None
    assert Version("1", (), {"path": "mlartifacts/registry/a"}, "").path is not None
