"""What a crash or a disk leaves of the registry is seen, and mended once."""

from __future__ import annotations

import json
import logging
import shutil
import sqlite3
from dataclasses import replace
from functools import partial
from hashlib import md5

import pytest

from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.registry import copies, healing, mlflow_model, registration, versions
from pamela.registry.tracking import publish
from pamela.registry.tracking.publish import client_of
from pamela.retraining import champion, records
from tests.helpers.kill_points import Killed, KillPoints
from tests.helpers.made_up import make_project, params_of, write_bundle
from tests.helpers.small_registry import aliases, copy_of, copy_registry, damage, tags


def heal(project: Project) -> list[str]:
    """Mend twice: nothing is left for the second time."""
    lines = healing.heal(project, params_of(project))
    assert healing.heal(project, params_of(project)) == []
    assert healing.is_registered(project, params_of(project))
    return lines


def sql(project: Project, *statements: str) -> None:
    with sqlite3.connect(project.root / "mlflow.db") as db:
        for statement in statements:
            db.execute(statement)


def listed(project: Project) -> list[str]:
    return [v.version for v in versions.list_versions(project, params_of(project))]


# --- single faults ----------------------------------------------------------------------------

DELETE = "delete from registered_model_aliases where alias = "
POINT = "update registered_model_aliases set version = {} where alias = '{}'"
SOUND = {"champion": "3", "previous": "2"}


def test_a_sound_registry_is_looked_at_without_mlflow(registry, monkeypatch):
    monkeypatch.setattr(publish, "client_of", None)
    monkeypatch.setattr(registration, "client_of", None)
    assert heal(registry) == []


def test_what_a_killed_copy_left_goes_though_the_registry_is_sound(registry):
    left = copies.copies_folder(registry) / f".{'0' * 16}.999999999.t0123abcd.tmp"
    left.mkdir()
    assert heal(registry) == []
    assert not left.exists()


@pytest.mark.parametrize(
    ("statements", "says"),
    [
        ([f"{DELETE}'champion'"], ["no version held the alias champion; version 3, which held it"]),
        ([POINT.format(9, "champion")], ["no version held the alias champion; version 3, which"]),
        ([f"{DELETE}'previous'"], ["alias previous: was nowhere; it is version 2"]),
        ([POINT.format(9, "previous")], ["alias previous: pointed at version 9; it is version 2"]),
        ([POINT.format(3, "previous")], ["alias previous: pointed at version 3; it is version 2"]),
        (["delete from registered_model_aliases"],
         ["no version held the alias champion; version 3", "alias previous: was nowhere"]),
    ],
)  # fmt: skip
def test_aliases_that_point_nowhere_or_to_the_wrong_version(registry, statements, says):
    sql(registry, *statements)
    lines = heal(registry)
    assert len(lines) == len(says)
    assert all(line.startswith(start) for line, start in zip(lines, says, strict=True))
    assert aliases(registry) == SOUND


def test_what_served_last_does_not_depend_on_the_clock(registry, monkeypatch):
    """It was set back between two promotions; a rollback comes after both."""
    monkeypatch.setattr(registration, "now_utc", lambda: "2001-01-01T00:00:00Z")
    back = registration.Promotion("rolled back", "anna", "rollback")
    registration.set_champion(registry, params_of(registry), "2", back)
    sql(registry, f"{DELETE}'champion'")
    assert heal(registry)[0].endswith("version 2, which held it last, has it again")
    assert aliases(registry) == {"champion": "2", "previous": "3"}


@pytest.mark.parametrize("number", ["3", "9"])
def test_a_challenger_that_is_champion_or_nowhere_is_none(registry, number):
    client = client_of(registry, params_of(registry))
    client.set_registered_model_alias(versions.NAME, "challenger", "1")
    sql(registry, POINT.format(number, "challenger"))
    assert heal(registry) == [f"alias challenger: pointed at version {number}; removed"]
    assert aliases(registry) == SOUND


def test_a_version_without_tags_gets_those_of_its_files(registry):
    before = tags(registry, "3")
    sql(registry, "delete from model_version_tags where version = 3")
    assert heal(registry)[0].startswith("version 3: its tags were lacking")
    after = tags(registry, "3")
    assert after.items() <= before.items()
    assert {"path", "bundle_hash", "model", "model_hash", "encoder"} <= set(after)


def test_a_version_that_was_made_twice_is_removed_once(registry):
    client = client_of(registry, params_of(registry))
    for number in ("1", "3"):
        client.create_model_version(versions.NAME, "file:///x", tags=tags(registry, number))
        only = {"path", "bundle_hash"}
        sql(registry, "delete from model_version_tags where version > 3 and key not in "
                      f"{tuple(only)}")  # fmt: skip
    assert heal(registry) == [
        "version 4: the same as version 1; removed",
        "version 5: the same as version 3; removed",
    ]
    assert listed(registry) == ["1", "2", "3"]


def test_a_copy_without_mlflows_files_gets_them(registry):
    (copy_of(registry, "1") / "MLmodel").unlink()
    assert heal(registry) == ["version 1: MLflow's files were lacking; written"]
    assert (copy_of(registry, "1") / "MLmodel").is_file()


def test_mlflow_says_warnings_alone_whoever_imports_it(registry, capsys):
    logging.getLogger("mlflow").setLevel(logging.INFO)  # as its import leaves it
    mlflow_model.write_mlflow_files(copy_of(registry, "2"))
    assert "INFO" not in capsys.readouterr().err


def test_a_lost_database_is_made_again_with_what_served(registry):
    write_bundle(registry, "user_mean")  # trained since, and never judged
    before = tags(registry, "3")
    (registry.root / "mlflow.db").unlink()
    assert registration.register_if_empty(registry, params_of(registry)) == "1"
    after = tags(registry, "1")
    assert {k: v for k, v in after.items() if "promoted" not in k and k != "decision"} == {
        k: v for k, v in before.items() if "promoted" not in k and k != "decision"
    }
    assert after["promoted_because"] == f"{registration.AGAIN}: group_mean is better"
    assert aliases(registry) == {"champion": "1"}
    assert heal(registry) == []


def test_a_champion_that_is_not_noted_beside_the_copies_is(registry):
    (copies.copies_folder(registry) / "champion.json").unlink()
    assert heal(registry) == ["version 3: noted beside the copies as what serves"]


# --- files ------------------------------------------------------------------------------------


def lose(folder):
    shutil.rmtree(folder)


def half(folder):
    (folder / "model.safetensors").unlink()


def flip(folder):
    damage(folder / "model.safetensors")


def relist(folder):
    damage(folder / "SHA256SUMS")


LOSSES = pytest.mark.parametrize("lost", [lose, half, flip, relist])


def keep_in_dvc(project: Project, bundle) -> None:
    """Put a bundle into DVC's cache as stage train's output is."""
    cache = project.root / ".dvc" / "cache" / "files" / "md5"
    entries = []
    for path in sorted(p for p in bundle.rglob("*") if p.is_file()):
        digest = md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        (cache / digest[:2]).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, cache / digest[:2] / digest[2:])
        entries.append({"md5": digest, "relpath": f"bundle/{path.relative_to(bundle)}"})
    (cache / "00" / "0.dir").parent.mkdir(exist_ok=True)
    (cache / "00" / "0.dir").write_text(json.dumps(entries))


@LOSSES
@pytest.mark.parametrize("where", ["models/bundle", "challenger/bundle", "DVC's cache"])
def test_a_lost_copy_is_rebuilt_from_what_holds_the_same(registry, where, lost):
    bundle = registry.models / "bundle"  # the champion's
    if where == "challenger/bundle":
        shutil.copytree(bundle, registry.challenger / "bundle")
    if where == "DVC's cache":
        keep_in_dvc(registry, bundle)
    if where != "models/bundle":
        write_bundle(registry, "user_mean")
    lost(copy_of(registry, "3"))
    (line,) = heal(registry)
    assert line.endswith(f"rebuilt from {where}")
    assert aliases(registry) == SOUND


@LOSSES
def test_the_version_before_serves_where_no_other_copy_is_left(registry, lost):
    write_bundle(registry, "user_mean")
    lost(copy_of(registry, "3"))
    (line,) = healing.heal(registry, params_of(registry))
    assert line.endswith("and no other copy is left; version 2 is champion")
    assert healing.heal(registry, params_of(registry)) == []
    assert aliases(registry) == {"champion": "2", "previous": "3"}
    champion.complete_records(registry, params_of(registry))
    (record,) = records.read(registry)
    assert (record.action, record.by, record.version) == ("heal", "pamela", "2")


def test_with_all_copies_lost_what_was_trained_last_serves(registry):
    write_bundle(registry, "user_mean")
    for number in ("1", "2", "3"):
        lose(copy_of(registry, number))
    (line,) = healing.heal(registry, params_of(registry))
    assert line.endswith("bundle, as it was trained last, is champion as version 4")
    assert aliases(registry) == {"champion": "4", "previous": "3"}
    shutil.rmtree(registry.models)
    lose(copy_of(registry, "4"))
    with pytest.raises(PamelaError, match=r"version 4: its files are gone.*run `make repro`"):
        healing.heal(registry, params_of(registry))


def test_a_version_that_a_server_keeps_is_not_lost_with_its_copy(registry, monkeypatch):
    write_bundle(registry, "user_mean")
    folder = copy_of(registry, "3")
    kept = shutil.copytree(folder, registry.root / "server")
    version = versions.champion(registry, params_of(registry))
    elsewhere = replace(version, source="mlflow-artifacts:/1/bundle")
    damage(folder / "model.safetensors")
    assert copies.fault_of_version(registry, elsewhere) == "model.safetensors is damaged or missing"
    fetch = partial(shutil.copytree, kept, dirs_exist_ok=True)
    monkeypatch.setattr(copies, "fetch", lambda source, uri, folder: fetch(folder))
    source = copies.find_source(registry, elsewhere)
    assert source.name == "the shared registry"
    copies.rebuild(registry, elsewhere, source)
    assert copies.fault_of_version(registry, elsewhere) is None
    lose(folder)
    assert copies.fault_of_version(registry, elsewhere) is None
    assert copies.fault_of_version(registry, version) == "its files are gone"


def test_an_old_copy_that_is_lost_for_good_is_let_be(registry):
    lose(copy_of(registry, "1"))
    assert heal(registry) == []


@LOSSES
def test_a_best_version_without_its_files_is_none_any_more(registry, lost):
    """Else every trial would stop at it; while something holds the same, it is rebuilt."""
    point = client_of(registry, params_of(registry)).set_registered_model_alias
    point("pamela", "best", "1")
    keep_in_dvc(registry, copy_of(registry, "1"))
    lost(copy_of(registry, "1"))
    assert heal(registry)[0].endswith("rebuilt from DVC's cache")
    assert aliases(registry) == SOUND | {"best": "1"}
    shutil.rmtree(registry.root / ".dvc")
    lost(copy_of(registry, "1"))
    assert heal(registry) == ["alias best: pointed at version 1; removed"]
    assert aliases(registry) == SOUND


def test_a_damaged_bundle_is_never_registered(registry):
    damage(write_bundle(registry, "user_mean") / "model.safetensors")
    with pytest.raises(PamelaError, match=r"models/bundle: model.safetensors is damaged"):
        registration.register_challenger(registry, params_of(registry))
    assert listed(registry) == ["1", "2", "3"]


# --- a crash at every step --------------------------------------------------------------------


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A project with a bundle and a database in which nothing is registered."""
    project = make_project(tmp_path_factory.mktemp("empty") / "project")
    client_of(project, params_of(project)).search_registered_models()
    return project


def first_publication(project: Project) -> None:
    """As `flows.publish`."""
    params = params_of(project)
    registration.register_if_empty(project, params)
    healing.heal(project, params)
    champion.complete_records(project, params)


def promotion(project: Project) -> None:
    params = params_of(project)
    version = registration.register_challenger(project, params)
    better = registration.Promotion("better", action="manual")
    registration.set_champion(project, params, version, better)
    champion.complete_records(project, params)


def rollback(project: Project) -> None:
    champion.rollback(project, params_of(project), why="worse", by="ann")


def in_steps(work, project, tmp_path, monkeypatch, points: KillPoints) -> Project:
    """Do `work` on a copy of `project`, whatever writes being a step."""
    copied = copy_registry(project, tmp_path / f"copy{points.at}")
    with monkeypatch.context() as patch:
        for module in (registration, publish):
            patch.setattr(module, "client_of", lambda *args: points.client(client_of(*args)))
        patch.setattr(copies, "write_mlflow_files", points.step(no_mlflow_files))
        patch.setattr(copies.shutil, "copytree", points.step(shutil.copytree))
        patch.setattr(records, "_write", points.step(records._write))
        noting = points.step(registration.remember_champion)
        patch.setattr(registration, "remember_champion", noting)
        work(copied)
    return copied


def no_mlflow_files(folder) -> None:
    """Write what counts of MLflow's files; the real ones take a second."""
    (folder / mlflow_model.DESCRIPTION_FILE).touch()


def state(project: Project):
    """Return all that must be the same however the work was interrupted."""
    recorded = [(r.action, r.by, r.version, r.previous) for r in records.read(project)]
    found = versions.list_versions(project, params_of(project))
    serving = [v.tags.get("promoted_because") for v in found if "champion" in v.aliases]
    return aliases(project), listed(project), serving, recorded


@pytest.mark.parametrize("work", [first_publication, promotion, rollback])
def test_a_crash_at_any_step_is_completed_or_undone(work, empty, registry, tmp_path, monkeypatch):
    start = empty if work is first_publication else registry
    if work is promotion:
        write_bundle(start, "user_mean")
    run = partial(in_steps, work, start, tmp_path, monkeypatch)
    whole = KillPoints(None)
    done = state(run(whole))
    before = state(start)
    outcomes = []
    assert whole.steps > 8
    for at in range(whole.steps):
        with pytest.raises(Killed):
            run(KillPoints(at))
        project = Project(tmp_path / f"copy{at}")
        with monkeypatch.context() as patch:
            patch.setattr(copies, "write_mlflow_files", no_mlflow_files)
            if work is rollback:  # nobody types it again
                healing.heal(project, params_of(project))
                champion.complete_records(project, params_of(project))
            else:
                work(project)
        outcomes.append(state(project))
        assert healing.is_registered(project, params_of(project))
        shutil.rmtree(project.root)
    if work is rollback:
        assert outcomes[0] == before
        assert outcomes[-1] == done
        assert all(one in (before, done) for one in outcomes)
    else:
        assert all(one == done for one in outcomes)
