"""What a server makes of a call is one line; a fault of ours stays what it is."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from mlflow.exceptions import MlflowException

from pamela.core.errors import PamelaError
from pamela.registry.tracking.remote_client import telling

PLACE = "MLFLOW_TRACKING_URI postgresql://host/mlflow"


def raising(error: Exception, name: str = "get_run"):
    def call(*_: object) -> None:
        raise error

    return getattr(telling(SimpleNamespace(**{name: call}), PLACE), name)


def test_a_page_of_text_becomes_a_line_without_its_password():
    said = "failed at postgresql://ann:sesame@host/mlflow\nDETAIL: a page of it"
    with pytest.raises(PamelaError) as told:
        raising(MlflowException(said))("run")
    line = str(told.value)
    assert line.startswith(f"{PLACE}: failed at postgresql://***@host/mlflow; ")
    assert "run the command again" in line
    assert "DETAIL" not in line


def test_the_store_of_files_is_told_from_the_registry():
    with pytest.raises(PamelaError, match=f"^the files of {PLACE}: full"):
        raising(MlflowException("full"), "log_artifacts")("run", "folder")


def test_a_missing_driver_is_told_with_its_extra():
    missing = ModuleNotFoundError("No module named 'boto3'", name="boto3")
    with pytest.raises(PamelaError, match=r"boto3, .*'pamela\[scale\]'"):
        raising(missing)()


@pytest.mark.parametrize("error", [TypeError("ours"), ModuleNotFoundError("x", name="x")])
def test_what_is_no_fault_of_a_server_is_left_alone(error):
    with pytest.raises(type(error)) as told:
        raising(error)()
    assert told.value is error
