"""The report's sentences: what came out, in words, and what was skipped and why."""

from __future__ import annotations

from typing import Any

import polars as pl

from pamela.evaluation.ceilings.measured import SINGLE
from pamela.evaluation.external.answers import missing_lines
from pamela.evaluation.metrics.definitions import PAIRWISE_ACCURACY, RMSE, SROCC
from pamela.evaluation.metrics.intervals import USER
from pamela.evaluation.metrics.schema import NOISE_CEILING, SEEN, SHUFFLED, UNSEEN
from pamela.evaluation.observers import IDEAL_POPULATION
from pamela.evaluation.results import Results, headline_rows
from pamela.registry.tracking.run_metrics import gain_rows
from pamela.reporting.sections.choices import choice_sentences
from pamela.reporting.tables import flat_row, sign


def headline_sentences(results: Results) -> list[str]:
    """Return what came out, in a few sentences per dataset."""
    return [
        sentence
        for dataset in results.datasets
        for sentence in _sentences(results, dataset)
        if sentence
    ] + ([_steering_sentence(results)] if results.steered else [])


def _sentences(results: Results, dataset: str) -> list[str]:
    told = choice_sentences(results, dataset)
    if not results.has_ratings(dataset):
        return told
    return [
        _champion_sentence(results, dataset),
        _gain_sentence(results, dataset),
        _external_sentence(results, dataset),
        *told,
    ]


def _champion_sentence(results: Results, dataset: str) -> str:
    champion = results.params.train.champion
    rows = results.evaluation.filter(dataset=dataset, model=champion)
    parts = []
    for population, who in ((SEEN, "people it knows"), (UNSEEN, "people it has never seen")):
        mine = rows.filter(population=population)
        accuracy = headline_rows(mine, PAIRWISE_ACCURACY, margin=0.0)["value"].drop_nulls()
        srocc = headline_rows(mine, SROCC)["value"].drop_nulls()
        if len(accuracy) and len(srocc):
            parts.append(
                f"{accuracy[0]:.1%} of picture pairs rightly for {who} (SROCC {srocc[0]:.2f})"
            )
    if not parts:
        return f"On {dataset}, {champion} could not be scored: nobody is left in the test parts."
    text = f"On {dataset}, the champion {champion} orders {' and '.join(parts)}."
    return text + _ceiling_sentence(results, dataset)


def _ceiling_sentence(results: Results, dataset: str) -> str:
    """Return what can be reached, where the truth is known or people rated pictures twice."""
    seen = results.evaluation.filter(dataset=dataset, population=SEEN)
    ceiling = seen.filter(model=NOISE_CEILING)
    bound, single = (
        headline_rows(ceiling, name)["value"].drop_nulls() for name in (SROCC, SINGLE + SROCC)
    )
    if not len(bound):
        return ""
    if not len(single):
        return f" Knowing each person's noise-free opinion would reach {bound[0]:.2f}."
    champion = seen.filter(model=results.params.train.champion)
    mine = headline_rows(champion, SROCC)["value"].drop_nulls()
    reached = ""
    if len(mine) and bound[0] > 0:
        reached = f", of which it reaches {mine[0] / bound[0]:.0%} for people it knows"
    return (
        f" By how far people agree with themselves no score can reach more than SROCC "
        f"{bound[0]:.2f}{reached} ({single[0]:.2f} against single ratings)."
    )


def _gain_sentence(results: Results, dataset: str) -> str:
    champion = results.params.train.champion
    lines = _gains(gain_rows(results, dataset, champion))
    if not lines:
        return ""
    return (
        "The best model without the user, on the same features and ratings, is "
        f"population. Beside it {champion} has {' and '.join(lines)}."
    )


def _external_sentence(results: Results, dataset: str) -> str:
    """Return what the champion gains over each of the scores from elsewhere."""
    champion = results.params.train.champion
    found = {
        name: _gains(gain_rows(results, dataset, champion, baseline=name))
        for name in results.external
    }
    told = [f"{' and '.join(lines)} over {name}" for name, lines in found.items() if lines]
    against = f"Against scores from elsewhere, on the same people and pictures, {champion} has"
    return f"{against} {'; '.join(told)}." if told else ""


def _gains(rows: pl.DataFrame) -> list[str]:
    return [
        f"{r['value']:+.3f} SROCC for {r['population']} users "
        f"({r['ci_low']:+.3f} to {r['ci_high']:+.3f}: {_in_words(r)})"
        for r in rows.drop_nulls(["value", "ci_low", "ci_high"]).to_dicts()
    ]


def _in_words(row: dict[str, Any]) -> str:
    return {"▲": "a gain", "▼": "a loss", "·": "not distinguishable from zero"}[sign(row)]


def _steering_sentence(results: Results) -> str:
    flat = results.steering
    none, other = (flat_row(flat, f"win_self_{k}") for k in ("none", "other"))
    text = "Steering a prompt with a person's own reward"
    if none["value"] is not None:
        text += f" beats no steering in {none['value']:.0%} of blind comparisons"
    if other["value"] is not None:
        text += f" and steering with somebody else's in {other['value']:.0%}"
        if other["ci_low"] is not None:
            text += f" ({other['ci_low']:.0%} to {other['ci_high']:.0%})"
    generic, personal = (flat_row(flat, f"gain_{k}") for k in ("generic", "personal_other"))
    if generic["value"] is not None and personal["value"] is not None:
        text += (
            f": of the gain in true utility {generic['value']:+.2f} points are generic and "
            f"{personal['value']:+.2f} personal"
        )
    return text + "."


def skipped(results: Results) -> list[str]:
    """Return what was not done in this run, and why."""
    notes = []
    if not results.steered:
        from pamela.steer.steer import skip_reason, unjudged_reason

        reason = skip_reason(results.params) or unjudged_reason(results.params)
        notes.append(reason or "steer: skipped")
    if names := results.external:
        notes += missing_lines(names, results.all_predictions, results.choice_predictions)
    for dataset in results.datasets:
        rows = results.evaluation.filter(~pl.col("model").is_in(results.external), dataset=dataset)
        empty = rows.filter((pl.col("n_users") == 0) & pl.col("shots").is_not_null())
        shots = empty.filter(metric=SROCC)["shots"].unique().sort().to_list()
        if shots:
            notes.append(
                f"{dataset}: no value for unseen users at {', '.join(map(str, shots))} shots: "
                "nobody among them has that many ratings to show"
            )
        flat = _without_adaptation(rows)
        if flat:
            notes.append(
                f"{dataset}: {', '.join(flat)} cannot learn from a new user's ratings and repeat "
                "their 0-shot value at every number of shots"
            )
        if not results.dataset_meta[dataset]["has_images"]:
            notes.append(f"{dataset}: ships no pictures; its precomputed features are used")
        if not results.has_ratings(dataset):
            notes.append(
                f"{dataset}: has choices and no ratings; all that is about ratings is absent"
            )
            continue
        if NOISE_CEILING not in rows["model"].unique():
            notes.append(
                f"{dataset}: no noise ceiling, because people's true opinion is unknown and nobody "
                "rated a picture twice"
            )
        if SHUFFLED not in rows["model"].unique():
            notes.append(f"{dataset}: no shuffled-features control in this run")
    return notes


def _without_adaptation(rows: pl.DataFrame) -> list[str]:
    """Return the trained models whose predictions are the same at every number of shots."""
    curves = rows.filter(
        (pl.col("population") == UNSEEN) & (pl.col("metric") == RMSE)
        & (pl.col("aggregation") == USER) & (pl.col("n_users") > 0)
        & ~pl.col("model").is_in([NOISE_CEILING, IDEAL_POPULATION])
    )  # fmt: skip
    same_users = curves.filter(pl.col("n_users") == pl.col("n_users").max().over("model"))
    per_model = same_users.group_by("model").agg(
        low=pl.col("value").min(), high=pl.col("value").max(), n=pl.len()
    )
    flat = per_model.filter((pl.col("n") > 1) & (pl.col("high") - pl.col("low") < 1e-9))
    return flat["model"].sort().to_list()
