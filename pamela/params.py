"""``params.yaml`` as typed, strict objects: an unknown or missing key is an error that names it.

Defaults live in ``params.yaml`` alone; nothing here has one.
"""

from __future__ import annotations

import datetime as dt
import os
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from pamela.core.errors import PamelaError, secret_keys
from pamela.core.strict_yaml import read_yaml

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Seconds = Annotated[float, Field(gt=0.0, le=86_400.0)]
Pixels = Annotated[int, Field(ge=16, le=4096, multiple_of=8)]
Device = Literal["auto", "cpu", "gpu"]
DType = Literal["auto", "float32", "bfloat16", "float16"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
# `dvc exp run -S key=2026-11-28` writes a day as text
Day = Annotated[
    dt.date,
    BeforeValidator(lambda value: _day(value) if isinstance(value, str) else value),
    Field(ge=dt.date(1970, 1, 1), lt=dt.date(9000, 1, 1)),
]
PRECOMPUTED = "precomputed"  # of `embed.encoder`: features come with the datasets
NO_SECRETS = (
    "the address holds a name and password or a token, and this file is in git: write it without "
    "them and use the environment, MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (or "
    "MLFLOW_TRACKING_TOKEN), or the whole address as MLFLOW_TRACKING_URI"
)
NO_OTHER_SECRETS = (
    "holds an address with a name and password, or a token, and this file is in git: write it "
    "without them"
)
UNION_PARTS = ("int", "str", "cv", "mapping")  # which of several types a fault is of: no key
WIDEST_MARGIN = 4.0  # the difference of the ends of the internal scale, 1..5
EXTERNAL = "data/external"  # where stage external keeps the scores that it has checked
SCORE_SUFFIXES = (".csv", ".parquet")
# What rows of the evaluation's tables are called already: no scores from outside may be
OUR_ROWS = (
    "global_mean", "user_mean", "group_mean", "population", "residual_ridge", "mf", "paper",
    "hierarchical", "champion", "population_user_mean", "population_shuffled", "image_mean",
    "bradley_terry", "noise_ceiling", "ideal_observer", "ideal_population", "feature_observer",
)  # fmt: skip


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise ValueError("is no day; write one such as 2026-11-28") from None


def _rising(values: list[Any]) -> list[Any]:
    if any(later <= earlier for earlier, later in pairwise(values)):
        raise ValueError("each must be larger than the one before it")
    return values


def _from_zero(values: list[Any]) -> list[Any]:
    if values[0] != 0:
        raise ValueError("must begin with 0, at which models are compared")
    return values


def _unique(values: list[Any]) -> list[Any]:
    twice = [value for value in values if values.count(value) > 1]
    if twice:
        raise ValueError(f"{twice[0]} is named twice")
    return values


def _score_file(path: str) -> str:
    place = PurePosixPath(path)
    if place.is_absolute() or ".." in place.parts or "\\" in path or "://" in path:
        raise ValueError("must be a path from the project root that stays below it")
    if place.suffix not in SCORE_SUFFIXES:
        raise ValueError(f"must end in {' or '.join(SCORE_SUFFIXES)}")
    if place.is_relative_to(EXTERNAL):
        raise ValueError(f"must lie outside {EXTERNAL}, which the pipeline fills")
    return path


def _scores(named: dict[str, str]) -> dict[str, str]:
    taken = [name for name in named if name in OUR_ROWS]
    if taken:
        raise ValueError(f"{taken[0]} is a row of our own; give these scores another name")
    return named


Rising = AfterValidator(_rising)
FromZero = AfterValidator(_from_zero)
Unique = AfterValidator(_unique)
Shots = Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=1), Rising]
Margins = Annotated[
    list[Annotated[float, Field(ge=0.0, le=WIDEST_MARGIN)]], Field(min_length=1), Rising, FromZero
]

ScoreFiles = Annotated[
    dict[Name, Annotated[str, AfterValidator(_score_file)]], AfterValidator(_scores)
]
DatasetWeights = Annotated[
    Annotated[Literal["cv"], Tag("cv")]
    | Annotated[dict[Name, Annotated[float, Field(gt=0.0, le=1e6)]], Tag("mapping")],
    Discriminator(lambda value: "mapping" if isinstance(value, dict) else "cv"),
]


class _Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, defer_build=True
    )


class IngestParams(_Strict):
    """Which datasets enter."""

    datasets: Annotated[list[Name], Field(min_length=1), Unique]


class SyntheticParams(_Strict):
    """Size and seed of the embedded world."""

    seed: Seed
    train_users: Count
    unseen_users: Count
    train_images: Count
    heldout_images: Count  # val and test images together
    ratings: Count  # over all five parts
    image_size: Annotated[int, Field(ge=64, le=1024)]  # pixels a side


class ValidateParams(_Strict):
    """When bad rows stop the pipeline, and which raters the data docs flag."""

    max_quarantined_share: Share
    latest_rated_at: Day | None  # last day on which a rating can have been given; null: today
    straight_line_share: Share
    flag_min_ratings: Annotated[int, Field(ge=2)]
    speeder_seconds: Annotated[float, Field(ge=0.0)]


class SplitParams(_Strict):
    """Own splits for datasets that have none."""

    folds: Annotated[int, Field(ge=2)]
    val_share: Share
    seed: Seed


class EmbedParams(_Strict):
    """Frozen features."""

    encoder: str
    batch_size: Count
    workers: Annotated[int, Field(ge=0)]


class InputParams(_Strict):
    """What the personal models may know beside the picture and its prompt."""

    user: bool  # whose rating it is: a person's own ratings, in training and as context
    demographics: bool  # what raters say of themselves
    metadata: bool  # type, group and style of the picture


ALL_INPUTS = InputParams(user=True, demographics=True, metadata=True)


class TrainParams(_Strict):
    """Fitting the reward models."""

    models: Annotated[list[str], Field(min_length=1), Unique]
    champion: str
    seed: Seed
    device: Device
    devices: int | str  # processes of gradient training, a device each; auto: every GPU there is
    inputs: InputParams
    cv_folds: Annotated[int, Field(ge=2)]
    cv_trials: Count  # configurations tried per dataset
    max_epochs: Count
    patience: Count  # epochs without a better validation score
    batch_size: Count
    # how much one rating of each dataset counts in joint training (`pamela.models.dataset_weights`)
    dataset_weights: DatasetWeights

    @field_validator("devices")
    @classmethod
    def _devices_can_be_counted(cls, value: int | str) -> int | str:
        if value != "auto" and not (isinstance(value, int) and value >= 1):
            raise ValueError("must be auto or a number of devices, 1 or more")
        return value

    @model_validator(mode="after")
    def _champion_is_trained(self) -> TrainParams:
        if self.champion not in self.models:
            raise ValueError(
                f"champion {self.champion!r} is not in train.models ({', '.join(self.models)})"
            )
        return self


class EvaluateParams(_Strict):
    """The evaluation's grid; definitions are in `pamela.evaluation.metrics.definitions`."""

    margins: Margins  # least differences of two ratings, on the 1..5 scale
    shots: Annotated[Shots, FromZero]
    min_pairs: Count
    query_size: Count
    bootstrap: Annotated[int, Field(ge=100, le=1_000_000)]
    seed: Seed
    external: ScoreFiles  # {name: file of scores from elsewhere}; each is a row of every table


class AblationParams(_Strict):
    """What is trained again with inputs switched off (`pamela.evaluation.ablation`)."""

    models: Annotated[dict[str, Count], Field(min_length=1)]  # fits of each, by seed
    shots: Shots


class LanguageModelParams(_Strict):
    """The rewriters `chat:` and `transformers:` (docs/steering_backends.md)."""

    temperature: Annotated[float, Field(ge=0.0, le=2.0)]
    top_p: Annotated[float, Field(gt=0.0, le=1.0)]
    max_tokens: Count  # of one answer
    context_trials: Annotated[int, Field(ge=0)]  # of the best so far, with their scores
    variants_per_answer: Count
    attempts: Count  # for one request, whether the server or the answer was at fault
    timeout_s: Seconds  # chat:
    concurrent_requests: Annotated[int, Field(ge=1, le=64)]  # chat:
    batch_size: Count  # transformers:
    device: Device  # transformers:
    dtype: DType  # transformers:


class DiffusersParams(_Strict):
    """The generator `diffusers:`."""

    dtype: DType
    device: Device
    offload: Literal["none", "model", "sequential"]  # weights that wait in main memory
    steps: Count
    guidance: Annotated[float, Field(ge=0.0)] | None  # None: the pipeline's own
    width: Pixels
    height: Pixels
    batch_size: Count


class ImageServerParams(_Strict):
    """The generator `openai:`."""

    width: Pixels
    height: Pixels
    attempts: Count  # for one picture
    timeout_s: Seconds
    concurrent_requests: Annotated[int, Field(ge=1, le=64)]


class SteerParams(_Strict):
    """The steering benchmark."""

    generator: Annotated[str, Field(min_length=1)]  # `pamela.steer.generators.factory`
    rewriter: Annotated[str, Field(min_length=1)]  # `pamela.steer.rewriters.factory`
    rewards: list[str]  # generic ones beside ours: `pamela.steer.rewards.factory`
    workers: dict[str, str]  # of a reward in an environment of its own: the Python of that
    worker_timeout_s: Annotated[float, Field(ge=1.0)]
    users: Annotated[int, Field(ge=2)]
    prompts: Count
    variants: Annotated[int, Field(ge=2)]
    rounds: Count
    seed: Seed
    bootstrap: Annotated[int, Field(ge=100)]
    language_model: LanguageModelParams
    diffusers: DiffusersParams
    image_server: ImageServerParams


class ReportParams(_Strict):
    """The report and the MLflow experiment."""

    title: str
    experiment: Name


class LimitParams(_Strict):
    """How much may enter in one batch, and of one person in all; a batch with more is refused.

    A choice counts as a rating, here and in `TriggerParams`.
    """

    ratings_per_user: Count
    ratings_per_batch: Count
    batch_mb: Annotated[float, Field(gt=0.0)]


class TriggerParams(_Strict):
    """What makes a cycle train; one of them is enough."""

    new_ratings: Count
    new_users: Count
    drift: bool
    max_age_days: Annotated[float, Field(gt=0.0)] | None


Distance = Annotated[float, Field(ge=0.0)]


class DriftParams(_Strict):
    """How far new ratings may lie from what the champion knows (`pamela.retraining.drift`)."""

    ratings: Distance  # Wasserstein distance, points of 1..5
    raters: Share  # Jensen-Shannon distance
    new_people: Share
    pictures: Annotated[float, Field(ge=0.5, le=1.0)]  # AUC
    coverage: Share
    bias: Distance  # points of 1..5, as RMSE
    rmse: Distance
    srocc: Distance
    min_people: Annotated[int, Field(ge=2)]
    min_pictures: Annotated[int, Field(ge=5)]
    level: Annotated[float, Field(gt=0.0, lt=0.5)]  # one-sided, of each measure


class RetrainParams(_Strict):
    """When new ratings retrain, and what the gate asks of a challenger."""

    cron: str
    limits: LimitParams
    watch_s: Annotated[float, Field(ge=0.1, le=60.0)]  # how often `--serve` looks at data/inbox/
    triggers: TriggerParams
    drift: DriftParams
    newest_share: Annotated[float, Field(ge=0.0, lt=1.0)]
    tolerance: Annotated[float, Field(ge=0.0)]
    max_total_loss: Annotated[float, Field(ge=0.0)]
    slice_floor: Annotated[float, Field(ge=0.0)]
    min_slice_users: Annotated[int, Field(ge=2)]
    calibration_tolerance: Annotated[float, Field(ge=0.0)]
    least_gain: Annotated[float, Field(ge=0.0)]
    level: Annotated[float, Field(gt=0.0, lt=0.5)]
    full_run: bool
    commit: bool


class ServeParams(_Strict):
    """``pamela serve``; `image_folder` holds for MLflow's server too."""

    host: str  # address to listen on; 127.0.0.1: this machine alone
    port: Annotated[int, Field(ge=0, lt=2**16)]  # 0: any free one
    # below which a client may name pictures by their path, relative to the project; null: nowhere
    image_folder: Annotated[str, Field(min_length=1)] | None
    max_batch: Count  # pictures of several requests that are encoded together
    batch_ms: Annotated[float, Field(ge=0.0, le=1000.0)]  # how long a request waits for others
    max_request_mb: Annotated[float, Field(gt=0.0)]
    reload_s: Annotated[float, Field(gt=0.0)]  # how often the registry is asked for the champion
    stop_s: Count  # how long a stop waits for requests that are not answered yet


class ComputeParams(_Strict):
    """Who encodes pictures and scores tables; no result depends on it (`pamela.compute`)."""

    runner: Literal["local", "dask", "ray"]
    workers: Count  # of dask and ray where there is no address: processes on this machine
    address: Annotated[str, Field(min_length=1)] | None  # of a cluster that runs

    @model_validator(mode="after")
    def _address_is_of_a_cluster(self) -> ComputeParams:
        if self.address is not None and self.runner == "local":
            raise ValueError("address is of a cluster: set runner to dask or ray, or it to null")
        return self


class TrackingParams(_Strict):
    """Where MLflow writes, unless ``MLFLOW_TRACKING_URI`` says otherwise.

    Attributes
    ----------
    artifacts : where its files go, as ``s3://bucket/mlflow``. None: ``mlartifacts/`` beside the
        project's own database, or what a tracking server says.
    """

    uri: Annotated[str, Field(min_length=1)]
    artifacts: Annotated[str, Field(min_length=1)] | None


class Params(_Strict):
    """All of ``params.yaml``."""

    ingest: IngestParams
    synthetic: SyntheticParams
    validate_: Annotated[ValidateParams, Field(alias="validate")]  # BaseModel owns `validate`
    split: SplitParams
    embed: EmbedParams
    train: TrainParams
    evaluate: EvaluateParams
    ablation: AblationParams
    steer: SteerParams
    report: ReportParams
    retrain: RetrainParams
    serve: ServeParams
    compute: ComputeParams
    tracking: TrackingParams

    @model_validator(mode="after")
    def _weights_are_of_the_datasets(self) -> Params:
        asked, datasets = self.train.dataset_weights, self.ingest.datasets
        if isinstance(asked, str):
            return self
        for name in asked:
            if name not in datasets:
                raise ValueError(
                    f"train.dataset_weights names {name}, which is not in ingest.datasets "
                    f"({', '.join(datasets)})"
                )
        for name in datasets:
            if name not in asked:
                raise ValueError(
                    f"train.dataset_weights has no weight for {name}: name one per dataset, or cv"
                )
        return self


def load_params(path: Path) -> Params:
    """Read and check ``params.yaml``.

    Raises
    ------
    PamelaError
        On the first unknown, missing or ill-typed key, naming it, and on an address that holds
        credentials: git, dvc.lock and the report would hold them as well.
    """
    try:
        values = read_yaml(path)
        for key in secret_keys(values):
            advice = NO_SECRETS if key == "tracking.uri" else NO_OTHER_SECRETS
            raise PamelaError(f"{path}: {key}: {advice}")
        return Params.model_validate(values)
    except FileNotFoundError:
        raise PamelaError(f"{path}: no such file") from None
    except ValidationError as error:
        raise PamelaError(f"{path}: {first_fault(error)}") from None


def first_fault(error: ValidationError) -> str:
    """Return the first fault of a strict object as one phrase that names the key.

    An unknown key comes first: it is often the missing one, misspelt.
    """
    faults = error.errors()
    fault = next((f for f in faults if f["type"] == "extra_forbidden"), faults[0])
    key = ".".join(str(part) for part in fault["loc"] if part not in UNION_PARTS) or "the file"
    kind = fault["type"]
    if kind == "extra_forbidden":
        return f"unknown key {key}"
    if kind == "missing":
        return f"missing key {key}"
    message = fault["msg"].removeprefix("Value error, ")
    if kind in ("model_type", "dict_type"):
        return f"{key}: holds no keys with values"
    said = fault["input"]
    if isinstance(said, dict):  # a rule between keys: a message has no room for all of them
        return f"{key}: {message}" if fault["loc"] else message
    if kind == "string_type":
        quotes = isinstance(said, int | float | dt.date)
        message = "is no text; put it in quotes" if quotes else "is no text"
    got = said.isoformat() if isinstance(said, dt.date) else repr(said)
    return f"{key}: {message} (got {got})"[:300]


def tracking_uri(params: Params, root: Path) -> str:
    """Return ``MLFLOW_TRACKING_URI``, else the params' URI with a relative SQLite path made
    absolute below `root`.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or params.tracking.uri
    prefix = "sqlite:///"
    if uri.startswith(prefix) and not uri.startswith(prefix + "/"):
        return f"{prefix}{root / uri.removeprefix(prefix)}"
    return uri
