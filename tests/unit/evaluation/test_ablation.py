"""The ablation: what is planned, that variants are what they say, numbers, page and runs."""

from __future__ import annotations

import re
from dataclasses import asdict

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import read_json, read_parquet, write_json
from pamela.core.paths import Project
from pamela.evaluation import ablation, ablation_metrics
from pamela.evaluation.ablation import (
    ABLATION,
    FULL,
    NONE,
    SEED,
    VARIANT,
    VARIANTS,
    AblationJob,
    Done,
)
from pamela.evaluation.ablation_metrics import ablation_headline, compute_metrics, contrasts
from pamela.evaluation.metrics.schema import PREDICTIONS, SEEN, UNSEEN
from pamela.evaluation.predictions import predict_model
from pamela.evaluation.results import Results
from pamela.models import create_model
from pamela.models.transformer.model import Paper
from pamela.models.transformer.selection import DESIGNED
from pamela.params import InputParams, Params, load_params
from pamela.reporting.ablation_page import (
    ablation_sentences,
    section,
    srocc_table,
    write_ablation_page,
)
from pamela.reporting.ablation_runs import ablation_specs
from pamela.reporting.report import context
from tests.conftest import ROOT, merge
from tests.helpers.made_up import make_project, params_of
from tests.helpers.planted import make_world

PARAMS = load_params(ROOT / "params.yaml")
SMALL = {
    "train": {"device": "cpu", "cv_trials": 1, "max_epochs": 2, "batch_size": 256, "seed": 5},
    "evaluate": {"bootstrap": 200, "query_size": 10},
    "ablation": {"models": {"paper": 2}, "shots": [0, 5]},
}
FOLD = make_world(seed=6, own=0.6, seen=12, unseen=4, train_items=40, test_items=24).fold


def small(**ablation_params: object) -> Params:
    raw = merge(PARAMS.model_dump(by_alias=True), SMALL)
    raw["ablation"] = {**raw["ablation"], **ablation_params}
    return Params.model_validate(raw)


# --- variants and jobs ----------------------------------------------------------------------------


def test_the_variants_are_all_each_one_left_out_and_none():
    off = {
        name: {key for key, on in inputs.model_dump().items() if not on}
        for name, inputs in VARIANTS.items()
    }
    names = set(InputParams.model_fields)
    assert off.pop(FULL) == set()
    assert off.pop(NONE) == names
    assert off == {f"no_{name}": {name} for name in names}


def test_a_plan_holds_every_model_variant_and_fold(tmp_path):
    project = Project(tmp_path)
    write_json(project.splits / "splits.json", {"folds": 2, "datasets": {}})
    jobs = ablation.plan_ablation(project, small(models={"paper": 2, "hierarchical": 1}))
    assert len(jobs) == len(set(jobs)) == 2 * 2 * len(VARIANTS)
    assert jobs[0] == AblationJob("paper", FULL, 0)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("transformer", "unknown model 'transformer'; choose from global_mean"),
        ("population", "population has no switch for demographics, user; leave it out"),
    ],
)
def test_a_model_that_cannot_be_switched_is_named(tmp_path, model, says):
    with pytest.raises(PamelaError, match=re.escape(says)):
        ablation.plan_ablation(Project(tmp_path), small(models={model: 1}))


@pytest.fixture(scope="module")
def job_done() -> Done:
    params = small()
    return ablation.run_on(FOLD, FOLD, params, AblationJob("paper", "no_user", 0))


def test_a_job_asks_the_evaluations_queries_of_its_variant(job_done):
    """The first seed's answers are those of the same model in the pipeline."""
    params = small()
    train = params.train.model_copy(update={"inputs": VARIANTS["no_user"]})
    model = create_model("paper", train)
    model.fit(FOLD, seed=params.train.seed)
    grid = params.evaluate.model_copy(update={"shots": [0, 5]})
    expected = predict_model(model, "paper", FOLD, grid)
    first = job_done.predictions.filter(pl.col(SEED) == params.train.seed)
    assert first.select(PREDICTIONS.names()).equals(expected)
    assert set(job_done.predictions[VARIANT]) == {"no_user"}
    assert job_done.chosen == model.chosen


def test_further_seeds_train_the_chosen_configuration_anew(job_done):
    seeds = job_done.predictions[SEED].unique().sort().to_list()
    assert seeds == [5, 6]
    first, second = (job_done.predictions.filter(pl.col(SEED) == seed).drop(SEED) for seed in seeds)
    assert first.drop("mean", "std").equals(second.drop("mean", "std"))
    assert not np.allclose(first["mean"], second["mean"], atol=1e-4)


def test_a_settled_model_has_one_configuration_left_to_choose_from():
    params = small().train.model_copy(update={"cv_trials": 4, "inputs": VARIANTS["no_user"]})
    model = Paper.from_params(params)
    model.chosen = {**asdict(DESIGNED[2]), "cv_correlation": {"2": 0.4}}
    fresh = model.with_chosen_hyperparameters(params)
    assert fresh.search.candidates(np.random.default_rng(0)) == [DESIGNED[2]]
    assert fresh.inputs == VARIANTS["no_user"]
    assert len(model.search.candidates(np.random.default_rng(0))) == 4


# --- numbers --------------------------------------------------------------------------------------


@given(
    variants=st.integers(1, 5),
    seeds=st.integers(1, 4),
    data=st.data(),
)
def test_contrasts_are_means_differences_and_differences_by_seed(variants, seeds, data):
    full = data.draw(st.integers(0, variants - 1))
    values = np.random.default_rng(variants * 10 + seeds).normal(size=(3, variants, seeds))
    found = values.reshape(3, -1) @ contrasts(variants, full, seeds)
    mean = values.mean(axis=2)
    each = values - values[:, [full]]
    expected = [mean, mean - mean[:, [full]], each.reshape(3, -1)]
    assert np.allclose(found, np.concatenate(expected, axis=1))


SKILL = {FULL: 0.8, "no_user": 0.4, "no_metadata": 0.8, NONE: 0.0}


def made_up_predictions(
    model: str = "paper", seeds: int = 2, users: int = 30, images: int = 14
) -> pl.DataFrame:
    """Ratings, and variants of planted skill; two slices of users."""
    rng = np.random.default_rng(3)
    rating = rng.integers(1, 6, (users, images)).astype(float)
    user, image = np.indices(rating.shape).reshape(2, -1)
    base = pl.DataFrame(
        {
            s.DATASET: "synthetic",
            s.FOLD: 0,
            "model": model,
            s.USER: [f"u{k:02d}" for k in user],
            s.IMAGE: [f"i{k:02d}" for k in image],
            s.RATING: rating.ravel(),
            "pictures": "new",
        },
    )
    frames = []
    for variant, skill in SKILL.items():
        for seed in range(seeds):
            mean = skill * rating + rng.normal(size=rating.shape)
            frame = base.with_columns(
                pl.Series("mean", mean.ravel(), pl.Float32),
                pl.lit(1.0, pl.Float32).alias("std"),
                pl.lit(variant).alias(VARIANT),
                pl.lit(seed, pl.Int64).alias(SEED),
            )
            for population, shots in ((SEEN, None), (UNSEEN, 0)):
                where = [pl.lit(population).alias("population")]
                where.append(pl.lit(shots, pl.Int64).alias("shots"))
                frames.append(frame.with_columns(where))
    return pl.concat(frames).select(*PREDICTIONS.names(), VARIANT, SEED)


IMAGES = pl.DataFrame(
    {
        s.DATASET: ["synthetic"] * 14,
        s.IMAGE: [f"i{k:02d}" for k in range(14)],
        s.PROMPT_ID: [None] * 14,
    },
    schema_overrides={s.PROMPT_ID: pl.String},
)


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return compute_metrics(made_up_predictions(), IMAGES, small(shots=[0, 20]))


def row_of(table: pl.DataFrame, variant: str, metric: str = "srocc", population: str = SEEN):
    found = table.filter(variant=variant, metric=metric, population=population)
    return found.filter(pl.col("shots").is_null() | (pl.col("shots") == 0)).row(0, named=True)


def by_hand(predictions: pl.DataFrame, variant: str, seed: int) -> float:
    mine = predictions.filter(variant=variant, seed=seed, population=SEEN)
    return float(
        np.mean(
            [
                spearmanr(group["mean"], group[s.RATING]).statistic
                for _, group in mine.group_by(s.USER)
            ]
        )
    )


def test_values_and_differences_are_those_worked_out_by_hand(table):
    predictions = made_up_predictions()
    each = {v: np.array([by_hand(predictions, v, seed) for seed in (0, 1)]) for v in SKILL}
    for variant in SKILL:
        row = row_of(table, variant)
        gap = each[variant] - each[FULL]
        assert row["value"] == pytest.approx(each[variant].mean(), abs=1e-6)
        assert row["difference"] == pytest.approx(gap.mean(), abs=1e-6)
        assert row["seed_sd"] == pytest.approx(gap.std(ddof=1), abs=1e-6)
        assert (row["n_users"], row["n_seeds"]) == (30, 2)
        assert {key: row[key] for key in InputParams.model_fields} == VARIANTS[variant].model_dump()


def test_intervals_tell_a_planted_loss_from_none(table):
    lost, same = row_of(table, "no_user"), row_of(table, "no_metadata")
    assert lost["difference_ci_high"] < 0
    assert same["difference_ci_low"] < 0 < same["difference_ci_high"]
    full = row_of(table, FULL)
    assert (full["difference"], full["difference_ci_low"], full["difference_ci_high"]) == (0, 0, 0)
    rmse = row_of(table, NONE, "rmse")
    assert rmse["difference_ci_low"] > 0


def test_differences_are_paired_over_users():
    """Users who differ much from each other, and a variant that costs each of them the same."""
    predictions = made_up_predictions(seeds=1)
    table = compute_metrics(predictions, IMAGES, small(shots=[0]))
    value, gap = row_of(table, "no_metadata"), row_of(table, "no_metadata")
    copy = predictions.filter(pl.col(VARIANT) == FULL).with_columns(
        pl.lit("no_metadata").alias(VARIANT)
    )
    both = pl.concat([predictions.filter(pl.col(VARIANT) == FULL), copy])
    gap = row_of(compute_metrics(both, IMAGES, small(shots=[0])), "no_metadata")
    assert value["ci_high"] - value["ci_low"] > 0.01
    assert gap["difference_ci_low"] == gap["difference_ci_high"] == 0
    assert gap["seed_sd"] is None


def test_a_slice_without_anybody_keeps_its_rows(table):
    empty = table.filter(pl.col("shots") == 20)
    assert empty.height == len(SKILL) * len(ablation_metrics.METRICS)
    assert empty["n_users"].to_list() == [0] * empty.height
    assert empty["value"].null_count() == empty["difference"].null_count() == empty.height


def test_the_table_has_its_schema_and_the_order_of_rows_matters_not(table):
    assert table.schema == ABLATION
    shuffled = made_up_predictions().sample(fraction=1.0, shuffle=True, seed=1)
    again = compute_metrics(shuffled, IMAGES, small(shots=[0, 20]))
    assert again.sort(*ABLATION.names()[:8]).equals(table.sort(*ABLATION.names()[:8]))


def test_headline_numbers_are_flat_and_name_model_variant_and_users(table):
    figures = ablation_headline(table)
    assert figures["paper_full_seen_srocc"] == row_of(table, FULL)["value"]
    lost = row_of(table, "no_user", population=UNSEEN)["difference"]
    assert figures["paper_no_user_minus_full_unseen_0_srocc"] == lost
    assert len(figures) == 2 * len(SKILL)  # nobody at 20 shots
    two = pl.concat([table, table.with_columns(pl.lit("other").alias(s.DATASET))])
    assert {name.split("_")[0] for name in ablation_headline(two)} == {"synthetic", "other"}


# --- page, report and runs ------------------------------------------------------------------------


@pytest.fixture
def shown(tmp_path, table) -> Project:
    """A project in which the ablation has run."""
    project = make_project(tmp_path, steered=False)
    params = small(shots=[0, 20])
    done = [Done(AblationJob("paper", v, 0), pl.DataFrame(), {"width": 8}, 1.0) for v in SKILL]
    ablation_metrics.write_ablation_results(project, params, done, table)
    return project


def test_the_record_says_what_made_it(shown):
    record = read_json(shown.reports / "ablation.json")
    assert record["chosen"]["paper"][NONE]["fold_0"] == {"width": 8}
    assert record["params"]["train"]["seed"] == 5
    assert not {"inputs", "models", "champion"} & set(record["params"]["train"])
    assert read_parquet(shown.reports / "ablation.parquet").schema == ABLATION
    assert read_json(shown.metrics / "ablation.json")["paper_full_seen_srocc"] > 0


def test_the_page_is_self_contained_and_shows_every_variant(shown, table):
    write_ablation_page(shown, "Some title")
    html = (shown.reports / "ablation.html").read_text()
    assert "Some title" in html
    for words in ("all three", "without user", "without metadata", "none of them", "0.451"):
        assert words in html
    assert f"{row_of(table, 'no_user')['difference']:+.3f}" in html
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)[^"']+""", html)
    write_ablation_page(shown, "Some title")
    assert (shown.reports / "ablation.html").read_text() == html


def test_the_published_figure_stands_beside_the_papers_full_model_alone(table):
    shown = srocc_table(table)
    column = shown.columns.index("the paper, unseen")
    by_variant = {row[1].text: row[column].text for row in shown.rows}
    assert by_variant.pop("all three") == "0.451"
    assert set(by_variant.values()) == {"–"}
    other = srocc_table(table.with_columns(pl.lit("hierarchical").alias("model")))
    assert {row[column].text for row in other.rows} == {"–"}


def test_sentences_name_what_excludes_zero_and_nothing_else(table):
    told = " ".join(ablation_sentences(table))
    assert "without user" in told
    assert "none of them" in told
    assert "without metadata" not in told
    same = table.filter(pl.col(VARIANT).is_in([FULL, "no_metadata"]))
    assert ablation_sentences(same) == [
        "paper: no variant differs significantly from the full model."
    ]


def test_the_report_shows_it_where_it_was_run_and_names_a_stale_one(shown):
    results = Results(shown, params_of(shown))
    assert [t.title for t in context(results, None)["ablation"]["tables"]] == [
        "The ablation: SROCC on synthetic"
    ]
    record = read_json(shown.reports / "ablation.json")
    record["datasets"]["synthetic"] = "other"
    write_json(shown.reports / "ablation.json", record)
    stale = section(shown)
    assert stale is not None
    assert stale["page"] is None
    assert not stale["tables"]
    (shown.reports / "ablation.parquet").unlink()
    assert section(shown) is None
    assert ablation_specs(shown, params_of(shown)) == []


def test_every_variant_is_a_run_below_the_datasets_own(shown, table):
    write_ablation_page(shown, "title")
    parent, *children = ablation_specs(shown, params_of(shown))
    assert parent.name == "ablation · synthetic"
    assert {path.name for path, _ in parent.artifacts} == {"ablation.html", "ablation.parquet"}
    assert {spec.parent for spec in children} == {parent.hash}
    assert {spec.tags["kind"] for spec in (parent, *children)} == {"ablation"}
    assert len({spec.hash for spec in (parent, *children)}) == len(SKILL) + 1
    by_variant = {spec.tags["variant"]: spec for spec in children}
    assert set(by_variant) == set(SKILL)
    metrics = {key: value for key, value, _ in by_variant["no_user"].metrics}
    assert metrics["seen_srocc_minus_full"] == row_of(table, "no_user")["difference"]
    assert "seen_srocc_minus_full" not in {key for key, _, _ in by_variant[FULL].metrics}


def test_runs_are_of_what_made_them_not_of_the_params_of_now(shown):
    params = params_of(shown)
    before = [spec.hash for spec in ablation_specs(shown, params)]
    changed = params.model_copy(
        update={"train": params.train.model_copy(update={"seed": params.train.seed + 1})}
    )
    assert [spec.hash for spec in ablation_specs(shown, changed)] == before
