"""What Prefect's page calls runs and steps, and that shared files hold no credentials."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from importlib import import_module

import pytest
from prefect import Flow, Task
from prefect.cache_policies import NO_CACHE

from flows import environment, runtime
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from tests.paths import ROOT


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PAMELA_REASON", "make repro")
    return Project(tmp_path)


def test_a_run_is_called_after_what_it_does_and_why(project):
    assert runtime.run_name("train") == (
        "fit 8 models on synthetic, champion hierarchical · make repro"
    )
    assert runtime.run_name("embed") == "encode synthetic with embedded · make repro"
    assert runtime.run_name("retrain") == "retrain · make repro"


def test_broken_params_are_told_by_the_stage_and_not_by_its_name(project):
    project.params_file.write_text("train: {")
    assert runtime.run_name("train") == "train · make repro"


@dataclass(frozen=True)
class Job:
    model: str

    def __str__(self) -> str:
        return f"{self.model} alone"


def test_a_step_is_about_the_names_and_numbers_it_is_given(project):
    given = (project, "paper", 2, True, Job("mf"), [1])
    assert runtime.plain_arguments(given) == ["paper", 2, "mf alone"]


URL = "http://ann:sesame@host:5000"


@pytest.mark.parametrize("kind", [OSError, PamelaError, KeyError])
@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("wrap", [lambda f: runtime._timed(f, "x"), runtime._telling])
def test_no_error_that_prefect_keeps_tells_a_secret(kind, told, wrap, capsys):
    def fails() -> None:
        try:
            raise ValueError(f"no answer from {URL}")
        except ValueError as error:
            raise kind(f"{error}" if told else "no answer")  # noqa: B904, what libraries do

    with pytest.raises((RuntimeError, PamelaError)) as caught:
        wrap(fails)()
    whole = "".join(traceback.format_exception(caught.value))
    assert "sesame" not in whole + capsys.readouterr().err
    assert "no answer" in whole
    assert isinstance(caught.value, PamelaError) == (kind is PamelaError)  # those are not retried


def test_an_error_without_a_secret_stays_what_it_is():
    def fails() -> None:
        raise OSError(28, "No space left on device", "data/x")

    with pytest.raises(OSError, match="data/x") as caught:
        runtime._timed(fails, "x")()
    assert caught.value.filename == "data/x"


def test_no_task_is_cached_by_its_inputs():
    """Prefect's key of a tensor is another one in every process: such a cache never hits."""
    names = [path.stem for path in (ROOT / "flows").glob("*.py") if path.stem != "mlflow_app"]
    modules = [import_module(f"flows.{name}") for name in names]
    tasks = {one for module in modules for one in vars(module).values() if isinstance(one, Task)}
    flows = {one for module in modules for one in vars(module).values() if isinstance(one, Flow)}
    assert len(tasks) > 30
    for task in tasks:
        assert task.cache_policy == NO_CACHE, task.name
    assert not [one.name for one in (*tasks, *flows) if one.persist_result is not False]


@pytest.mark.parametrize(
    "lines",
    [
        "['remote \"store\"']\n    url = https://name:password@host/store",
        "['remote \"store\"']\n    url = https://host/store\n    password = secret",
        "['remote \"store\"']\n    secret_access_key = abc",
        "['remote \"store\"']\n    connection_string = AccountName=x;AccountKey=abc==;",
    ],
)
def test_a_remotes_credentials_are_refused_where_git_would_keep_them(project, lines):
    (project.root / ".dvc/config").write_text(lines)
    with pytest.raises(PamelaError, match=r"\.dvc/config:\d: .*dvc remote modify --local") as told:
        runtime.here()
    assert "password@" not in str(told.value)
    (project.root / ".dvc/config").rename(project.root / ".dvc/config.local")
    runtime.here()


def test_a_remote_without_credentials_is_fine(project):
    (project.root / ".dvc/config").write_text(
        "[core]\n    remote = store\n['remote \"store\"']\n    url = ssh://git@host/store\n"
        "    ask_password = true\n"
    )
    environment.refuse_shared_secrets(project)
