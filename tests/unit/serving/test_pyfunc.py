"""The model behind MLflow: what is written, what is answered, and over HTTP."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow.pyfunc
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

import pamela
from pamela.registry.mlflow_model import GREY_PNG
from pamela.registry.versions import resolve
from pamela.serving.types import CatalogImage, Score
from tests.conftest import command_env, override_params

PROMPT = "a red barn at dusk"
RATED = {"image_id": "i01", "rating": 3}
BROKEN = base64.b64encode(b"\x89PNG\r\n\x1a\n broken").decode()


@pytest.fixture
def served(small_project):
    """The registered champion as MLflow loads it; pictures of the project may be named."""
    override_params(small_project.root, {"serve": {"image_folder": "."}})
    return mlflow.pyfunc.load_model(str(resolve("models:/pamela@champion", small_project)))


def ask(served, *records: dict) -> pd.DataFrame:
    """Ask as MLflow's server does, which takes texts for objects of any type."""
    return served.predict(pd.DataFrame(list(records)).astype(object))


def test_nothing_is_pickled_and_the_folder_is_a_bundle_still(small_project):
    folder = resolve("models:/pamela@champion", small_project)
    files = {path.name for path in folder.iterdir()}
    assert {"MLmodel", "model.safetensors", "bundle.json", "input_example.json"} <= files
    assert not [name for name in files if Path(name).suffix in (".pkl", ".pickle", ".pt", ".bin")]
    assert "pickle" not in (folder / "MLmodel").read_text()
    assert pamela.load(folder).version == pamela.load("models:/pamela@champion").version


def test_signature_and_example_are_there_and_the_example_is_answered(served):
    inputs = {column.name: column.required for column in served.metadata.signature.inputs}
    assert set(inputs) == {
        "user", "dataset", "prompt", "image", "image_id", "ratings", "choices", "demographics",
    }  # fmt: skip
    assert not any(inputs.values())
    example = served.input_example
    answer = served.predict(example)
    outputs = [column.name for column in served.metadata.signature.outputs]
    assert list(answer.columns) == outputs == list(Score.__dataclass_fields__)
    assert answer["source"][0] == "population"
    assert base64.b64decode(GREY_PNG).startswith(b"\x89PNG")


def test_rows_are_answered_in_order_as_the_api_does(served):
    reward = pamela.load("models:/pamela@champion")
    barn = base64.b64encode(Path("barn.png").read_bytes()).decode()
    answer = ask(
        served,
        {"user": "synthetic/p001", "prompt": PROMPT, "image": "barn.png"},
        {"user": "p002", "prompt": PROMPT, "image": barn},
        {"user": "p001", "image_id": "i03"},
        {"user": "p002", "prompt": PROMPT, "image": f"data:image/png;base64,{barn}"},
        {"user": None, "dataset": "synthetic", "prompt": PROMPT, "image": "lake.png"},
    )
    expected = [
        reward.score(user=user, prompt=prompt, images=[image])[0]
        for user, prompt, image in (
            ("synthetic/p001", PROMPT, "barn.png"),
            ("synthetic/p002", PROMPT, "barn.png"),
            ("synthetic/p001", None, CatalogImage("synthetic", "i03")),
            ("synthetic/p002", PROMPT, "barn.png"),
            (None, PROMPT, "lake.png"),
        )
    ]
    for field in ("rating", "std", "percentile"):
        want = [getattr(score, field) for score in expected]
        assert answer[field].to_list() == pytest.approx(want, abs=1e-4)
    assert answer["source"].to_list() == ["seen"] * 4 + ["population"]


def test_a_row_may_bring_its_person(served):
    reward = pamela.load("models:/pamela@champion")
    ratings = [
        {"image": "lake.png", "prompt": PROMPT, "rating": 1},
        {"image_id": "i03", "rating": 4.5},
    ]
    row = {"ratings": ratings, "demographics": {"gender": "female"}}
    anybody = {"dataset": "synthetic", "image": "barn.png"}
    answer = ask(served, row | {"image": "barn.png"}, anybody)
    me = reward.adapt(
        ratings=[("lake.png", PROMPT, 1), (CatalogImage("synthetic", "i03"), 4.5)],
        demographics={"gender": "female"},
    )
    assert answer["rating"][0] == pytest.approx(
        reward.score(user=me, images=["barn.png"])[0].rating, abs=1e-4
    )
    assert answer["source"].to_list() == ["adapted", "population"]
    assert answer["std"][0] < answer["std"][1]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"user": "nobody"}, "row 2: unknown user 'nobody'"),
        ({"usr": "p001", "user": None}, "row 2: names no user"),
        ({"user": 5}, r"row 2: user: should be a text \(got 5\)"),
        ({"user": True}, r"row 2: user: should be a text \(got True\)"),
        ({"user": ""}, r"row 2: user: should not be empty"),
        ({"prompt": 1984}, r"row 2: prompt: should be a text \(got 1984"),
        ({"image": "gone.png"}, r"row 2 \('gone.png'\): image is neither"),
        ({"image": "/etc/passwd"}, "row 2: image is neither"),
        ({"image": None}, "row 2: give either image or image_id"),
        ({"image_id": "i01"}, "row 2: give either image or image_id"),
        ({"image": None, "image_id": "i99"}, "row 2: no picture 'i99'"),
        ({"image": None, "image_id": 1}, "row 2: image_id: should be a text"),
        ({"image": "data:image/png,x"}, "row 2: a data: URL without base64"),
        ({"image": BROKEN}, "row 2.*does not decode"),
        ({"ratings": "good"}, "row 2: ratings: is not a list"),
        ({"user": None, "ratings": [{"image_id": "i01"}]}, "row 2: rating 1: missing key 'rating'"),
        (
            {"user": None, "ratings": [{"image_id": "i01", "rating": 3, "promt": "x"}]},
            "row 2: rating 1: unknown key 'promt'",
        ),
        ({"user": None, "ratings": [RATED | {"rating": 9}]}, "row 2.*9 is off the scale"),
        ({"user": None, "ratings": [RATED, RATED]}, "row 2 rating 2: the same picture as in row 2"),
        ({"user": None, "demographics": {"gender": "x"}}, "row 2: unknown gender 'x'"),
        ({"ratings": [RATED]}, "row 2: has both user and ratings"),
    ],
)
def test_a_fault_names_its_row(served, row, says):
    sound = {"user": "p001", "image": "lake.png"}
    with pytest.raises(MlflowException, match=says) as caught:
        ask(served, sound, sound | row)
    assert caught.value.get_http_status_code() == 400


def test_a_table_of_unknown_columns_is_not_answered_with_nothing(served):
    with pytest.raises(MlflowException, match=r"no known column; there are .*user, dataset"):
        served.predict(pd.DataFrame({"usr": ["p001"], "img": ["i01"]}))


def test_a_copy_kept_before_it_was_an_mlflow_model_is_mended(small_project):
    from pamela.params import load_params
    from pamela.registry.healing import heal, is_registered

    params = load_params(small_project.params_file)
    folder = resolve("models:/pamela@champion", small_project)
    (folder / "MLmodel").unlink()
    assert not is_registered(small_project, params)
    assert "version 1: MLflow's files were lacking; written" in heal(small_project, params)
    assert is_registered(small_project, params)
    assert mlflow.pyfunc.load_model(str(folder)).metadata.signature is not None


# --- over HTTP ------------------------------------------------------------------------------------
@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Run ``mlflow models serve`` on a free port of loopback and end it again; yield its URL."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [
        str(Path(sys.executable).parent / "mlflow"), "models", "serve",
        "-m", "models:/pamela@champion", "--env-manager", "local",
        "--host", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip
    log = folder / "serve.log"
    environment = command_env(MLFLOW_TRACKING_URI="sqlite:///mlflow.db")
    with log.open("w") as stream:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=stream, stderr=subprocess.STDOUT
        )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            assert process.poll() is None, log.read_text()[-2000:]
            try:
                urllib.request.urlopen(f"{url}/ping", timeout=5).close()
                break
            except OSError:
                time.sleep(0.5)
        yield url
    finally:
        process.terminate()
        process.wait(60)


def post(url: str, records: list[dict]) -> tuple[int, dict]:
    request = urllib.request.Request(
        f"{url}/invocations",
        json.dumps({"dataframe_records": records}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_champion_answers_over_http(small_project):
    from typer.testing import CliRunner

    from pamela.cli.app import app

    override_params(small_project.root, {"serve": {"image_folder": "."}})
    Path("mine.csv").write_text("image,rating\nbarn.png,5\nlake.png,1\n")
    done = CliRunner().invoke(app, ["adapt", "--ratings", "mine.csv", "--name", "anna"])
    assert done.exit_code == 0, done.output
    content = base64.b64encode(Path("lake.png").read_bytes()).decode()
    reward = pamela.load("models:/pamela@champion")
    expected = [
        reward.score(user=user, prompt=PROMPT, images=[image])[0]
        for user, image in (("p001", "barn.png"), ("anna", "lake.png"))
    ]
    with server(small_project.root) as url:
        status, answer = post(
            url,
            [
                {"user": "synthetic/p001", "prompt": PROMPT, "image": "barn.png"},
                {"user": "anna", "prompt": PROMPT, "image": content},
            ],
        )
        assert status == 200, answer
        for got, want in zip(answer["predictions"], expected, strict=True):
            assert got["rating"] == pytest.approx(want.rating, abs=1e-4)
            assert got["std"] == pytest.approx(want.std, abs=1e-4)
            assert (got["source"], got["model_version"]) == (want.source, want.model_version)
        status, answer = post(url, [{"user": "p001", "image": "gone.png"}])
        assert status == 400
        assert "row 1 ('gone.png'): image is neither" in answer["message"]
        status, answer = post(url, [{"usr": "p001", "image_id": "i03"}])
        assert (status, "row 1: names no user" in answer["message"]) == (400, True)
