"""params.yaml: strict, and without a key that nobody uses."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest

from pamela.core.errors import PamelaError
from pamela.evaluation.comparators.bradley_terry import BRADLEY_TERRY
from pamela.evaluation.comparators.image_mean import IMAGE_MEAN
from pamela.evaluation.comparators.population_user_mean import POPULATION_USER_MEAN
from pamela.evaluation.headline import CHAMPION
from pamela.evaluation.metrics.schema import SHUFFLED
from pamela.evaluation.results import CEILINGS
from pamela.models import MODELS
from pamela.params import OUR_ROWS, load_params, tracking_uri
from tests.helpers import yaml
from tests.paths import ROOT

NAN, INFINITY = float("nan"), float("inf")
RAW = yaml.safe_load((ROOT / "params.yaml").read_text())


def write(folder: Path, raw: object) -> Path:
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


def test_the_shipped_params_load():
    assert load_params(ROOT / "params.yaml").train.champion in RAW["train"]["models"]


def test_scores_from_elsewhere_cannot_be_called_like_a_row_of_ours():
    ours = {*MODELS, *CEILINGS, SHUFFLED, POPULATION_USER_MEAN, IMAGE_MEAN, BRADLEY_TERRY, CHAMPION}
    assert set(OUR_ROWS) == ours


@pytest.mark.parametrize("section", sorted(RAW))
def test_a_missing_key_is_named(tmp_path, section):
    raw = {**RAW, section: dict(list(RAW[section].items())[1:])}
    gone = f"{section}.{next(iter(RAW[section]))}"
    with pytest.raises(PamelaError, match=re.escape(f"missing key {gone}")):
        load_params(write(tmp_path, raw))


@pytest.mark.parametrize("section", sorted(RAW))
def test_an_unknown_key_is_named(tmp_path, section):
    raw = {**RAW, section: {**RAW[section], "colour": 1}}
    with pytest.raises(PamelaError, match=f"unknown key {section}.colour"):
        load_params(write(tmp_path, raw))


@pytest.mark.parametrize(
    ("section", "key", "value", "says"),
    [
        ("split", "folds", 1, "split.folds"),
        ("split", "folds", "5", "split.folds"),
        ("validate", "max_quarantined_share", 1.5, "validate.max_quarantined_share"),
        ("train", "champion", "oracle", "not in train.models"),
        ("ingest", "datasets", ["a", "a"], "named twice"),
        ("ingest", "datasets", ["../up"], "ingest.datasets"),
        ("train", "inputs", {"user": True, "demographics": True}, "train.inputs.metadata"),
        ("train", "inputs", {**RAW["train"]["inputs"], "age": True}, "train.inputs.age"),
        ("train", "inputs", {**RAW["train"]["inputs"], "user": "yes"}, "train.inputs.user"),
        ("evaluate", "external", ["a.csv"], "evaluate.external: holds no keys with values"),
        ("evaluate", "external", {"hps": 3}, "evaluate.external.hps: is no text"),
        ("evaluate", "external", {"a b": "a.csv"}, "evaluate.external.a b"),
        ("evaluate", "external", {"hps": "../a.csv"}, "a path from the project root that stays"),
        ("evaluate", "external", {"hps": "/home/a.csv"}, "a path from the project root"),
        ("evaluate", "external", {"hps": "s3://b/a.csv"}, "a path from the project root that"),
        ("evaluate", "external", {"hps": "a.tsv"}, "evaluate.external.hps: must end in .csv or"),
        ("evaluate", "external", {"hps": "data/external/a.csv"}, "must lie outside data/external"),
        (
            "evaluate",
            "external",
            {"paper": "a.csv"},
            "external: paper is a row of our own",
        ),
        ("ablation", "models", {}, "ablation.models"),
        ("ablation", "models", {"paper": 0}, "ablation.models.paper"),
        ("ablation", "shots", [-1], "ablation.shots"),
        ("ablation", "shots", [0, 20, 20], "each must be larger than the one before it"),
        ("evaluate", "shots", [0, 10, 10], "each must be larger than the one before it"),
        ("evaluate", "shots", [0, 10, 5], "each must be larger than the one before it"),
        ("evaluate", "shots", [5, 10], "evaluate.shots: must begin with 0"),
        ("evaluate", "shots", [0, 2.0], "evaluate.shots.1"),
        ("evaluate", "shots", [False, 5], "evaluate.shots.0"),
        ("evaluate", "shots", [-1, 0], "evaluate.shots.0"),
        ("evaluate", "shots", [], "evaluate.shots"),
        ("evaluate", "shots", [0, 10**20], "evaluate.shots.1"),
        ("evaluate", "bootstrap", 10**20, "evaluate.bootstrap"),
        ("evaluate", "shots", 5, "evaluate.shots"),
        ("evaluate", "margins", [0.0, NAN], "evaluate.margins.1"),
        ("evaluate", "margins", [0.0, INFINITY], "evaluate.margins.1"),
        ("evaluate", "margins", [0.0, 1.0, 1.0], "each must be larger than the one before it"),
        ("evaluate", "margins", [0.0, 2.0, 1.0], "each must be larger than the one before it"),
        ("evaluate", "margins", [0.5, 1.0], "evaluate.margins: must begin with 0"),
        ("evaluate", "margins", [-0.5, 0.0], "evaluate.margins.0"),
        ("evaluate", "margins", [0.0, 4.5], "evaluate.margins.1"),
        ("evaluate", "margins", [0.0, True], "evaluate.margins.1"),
        ("evaluate", "margins", [], "evaluate.margins"),
        ("retrain", "tolerance", INFINITY, "retrain.tolerance"),
        ("retrain", "tolerance", NAN, "retrain.tolerance"),
        ("train", "models", ["mf", "mf"], "mf is named twice"),
        ("train", "models", [], "train.models"),
        ("tracking", "uri", "", "tracking.uri"),
        ("validate", "latest_rated_at", "yesterday", "validate.latest_rated_at"),
        ("validate", "latest_rated_at", "2026-02-30", "validate.latest_rated_at"),
        ("validate", "latest_rated_at", dt.date(9999, 12, 31), "validate.latest_rated_at"),
        ("validate", "latest_rated_at", dt.date(26, 11, 28), "validate.latest_rated_at"),
        ("validate", "latest_rated_at", dt.datetime(2026, 2, 28, 12), "validate.latest_rated_at"),
        ("validate", "latest_rated_at", 20260228, "validate.latest_rated_at"),
    ],
)
def test_a_bad_value_names_its_key(tmp_path, section, key, value, says):
    raw = {**RAW, section: {**RAW[section], key: value}}
    with pytest.raises(PamelaError, match=re.escape(says)) as caught:
        load_params(write(tmp_path, raw))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("section", "key", "written", "value"),
    [
        ("retrain", "tolerance", "5e-3", 0.005),
        ("retrain", "tolerance", "1e-05", 1e-5),
        ("retrain", "tolerance", "1E+1", 10.0),
        ("retrain", "tolerance", "+.5", 0.5),
        ("split", "folds", "0o10", 8),  # YAML 1.1 reads text
        ("split", "folds", "010", 10),  # YAML 1.1 reads 8
        ("split", "folds", "0x1F", 31),
        ("report", "title", "0o10.5", "0o10.5"),
        ("report", "title", "12:30:45", "12:30:45"),  # YAML 1.1 reads seconds
        ("report", "title", "yes", "yes"),  # YAML 1.1 reads true
        ("report", "title", "on", "on"),
        ("report", "title", "No", "No"),
        (
            "train",
            "inputs",
            "{user: true, demographics: True, metadata: FALSE}",
            (True, True, False),
        ),
    ],
)
def test_values_are_read_as_dvc_reads_them(tmp_path, section, key, written, value):
    from dvc.utils.serialize import load_yaml

    path = write(tmp_path, {**RAW, section: {**RAW[section], key: "PLACE"}})
    path.write_text(path.read_text().replace("PLACE", written))
    found = getattr(getattr(load_params(path), section), key)
    read = load_yaml(str(path))[section][key]
    if isinstance(value, tuple):
        found, read = tuple(found.model_dump().values()), tuple(read.values())
    assert found == value
    assert type(found) is type(value)
    assert read == value


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("retrain.tolerance=0.00001", 1e-5),
        ("retrain.tolerance=5e-3", 0.005),
        ("retrain.tolerance=0", 0.0),
        ("evaluate.margins=[0,0.00001,1e-3]", [0.0, 1e-5, 1e-3]),
        ("retrain.commit=true", True),
        ("report.title='on'", "on"),
        ("report.title='1e-05'", "1e-05"),
        ("split.folds=12", 12),
        ("validate.latest_rated_at=null", None),
        ("validate.latest_rated_at=2026-11-28", dt.date(2026, 11, 28)),
        ("embed.encoder=local-dir:/my/clip", "local-dir:/my/clip"),
    ],
)
def test_what_dvc_exp_run_sets_reads_back(tmp_path, override, value):
    from dvc.utils.hydra import apply_overrides

    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text())
    apply_overrides(path, [override])  # what `dvc exp run --set-param` does
    section, key = override.partition("=")[0].split(".")
    section = {"validate": "validate_"}.get(section, section)
    assert getattr(getattr(load_params(path), section), key) == value


@pytest.mark.parametrize("written", ["yes", "on", "1", "'true'"])
def test_a_switch_is_true_or_false_and_nothing_like_it(tmp_path, written):
    path = write(tmp_path, {**RAW, "retrain": {**RAW["retrain"], "commit": "PLACE"}})
    path.write_text(path.read_text().replace("PLACE", written))
    with pytest.raises(PamelaError, match=r"retrain\.commit: .* valid boolean"):
        load_params(path)


FLOATS = [(section, key) for section, keys in RAW.items() for key, value in keys.items()
          if isinstance(value, float)]  # fmt: skip


@pytest.mark.parametrize(("section", "key"), FLOATS)
@pytest.mark.parametrize("value", [NAN, INFINITY, -INFINITY])
def test_no_number_is_infinite_or_none(tmp_path, section, key, value):
    raw = {**RAW, section: {**RAW[section], key: value}}
    with pytest.raises(PamelaError, match=rf"{section}\.{key}: Input should be"):
        load_params(write(tmp_path, raw))


@pytest.mark.parametrize("value", ["2026-02-30", "2026-13-01", "2026-02-28 25:00:00"])
def test_a_date_that_is_none_is_told(tmp_path, value):
    text = (ROOT / "params.yaml").read_text()
    told = text.replace("latest_rated_at: null", f"latest_rated_at: {value}")
    (tmp_path / "params.yaml").write_text(told)
    line = text.split("latest_rated_at")[0].count("\n") + 1
    said = rf"params.yaml:{line}: not valid YAML \({value} is no date or time: "
    with pytest.raises(PamelaError, match=said):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("latest_rated_at: null", "latest_rated_at: 2026-1-3", "is no day; write one such as 2026"),
        ("devices: auto", "devices: 1.5", r"train\.devices: Input should be a valid integer"),
        (
            "title: Personal reward models",
            "title: 2026",
            r"report\.title: is no text; put it in quo",
        ),
        ("    user: true", "    usr: true", r"unknown key train\.inputs\.usr$"),
        (
            "champion: hierarchical",
            "champion: MF",
            r"'MF' is not in train\.models \(global_mean,.*\)$",
        ),
    ],
)
def test_a_fault_is_told_by_its_key_in_plain_words(tmp_path, old, new, says):
    text = (ROOT / "params.yaml").read_text()
    assert old in text
    (tmp_path / "params.yaml").write_text(text.replace(old, new))
    with pytest.raises(PamelaError, match=says):
        load_params(tmp_path / "params.yaml")


def test_broken_yaml_names_the_line(tmp_path):
    (tmp_path / "params.yaml").write_text("ingest:\n  datasets: [a\nsplit: 1\n")
    with pytest.raises(PamelaError, match=r"params.yaml:\d+: not valid YAML"):
        load_params(tmp_path / "params.yaml")


def test_every_key_is_used():
    code = "\n".join(
        p.read_text()
        for folder in ("pamela", "flows")
        for p in (ROOT / folder).rglob("*.py")
        if p.name != "params.py"
    )
    unused = [
        f"{section}.{key}"
        for section, keys in RAW.items()
        for key in keys
        if section != "tracking" and not re.search(rf"\.{key}\b", code)
    ]
    assert not unused


def test_tracking_uri_is_below_the_root_unless_the_environment_says_so(tmp_path, monkeypatch):
    params = load_params(ROOT / "params.yaml")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking_uri(params, tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert tracking_uri(params, tmp_path) == "http://127.0.0.1:5000"


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("sqlite:///mlflow.db", "http://name:password@host:5000", "tracking.uri"),
        ("encoder: embedded ", "encoder: https://TOKEN@host/model ", "embed.encoder"),
        ("models: [global_mean", "models: ['s3://KEY:SECRET@bucket', global_mean", "train.models"),
    ],
)
def test_credentials_are_refused_and_never_shown(tmp_path, old, new, key):
    text = (ROOT / "params.yaml").read_text()
    assert old in text
    (tmp_path / "params.yaml").write_text(text.replace(old, new))
    advice = "environment, MLFLOW_TRACKING_" if key == "tracking.uri" else "write it without them"
    with pytest.raises(PamelaError, match=f"{key}: .*{advice}") as told:
        load_params(tmp_path / "params.yaml")
    assert not re.search("password@|TOKEN@|SECRET", str(told.value))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "params.yaml: the file: holds no keys with values"),
        (b"[1]", "params.yaml: the file: holds no keys with values"),
        ("ingest: {}".encode("utf-16"), "params.yaml: not UTF-8 text; save it as UTF-8"),
        (
            yaml.safe_dump({**RAW, "train": {**RAW["train"], "champion": "oracle"}}).encode(),
            "params.yaml: train: champion 'oracle' is not in train.models"
            f" ({', '.join(RAW['train']['models'])})",
        ),
    ],
)
def test_a_file_that_is_none_and_a_rule_between_keys_are_short(tmp_path, content, says):
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(PamelaError) as error:
        load_params(path)
    assert str(error.value).endswith(says)
