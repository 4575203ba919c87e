"""A steered prompt as a run in MLflow: found again where the same was steered before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from pamela.core.paths import Project
from pamela.core.timeline import Span
from pamela.params import Params
from pamela.serving.steering.result import RATING, Steered
from pamela.steer.search.trials import ROUND

ARTIFACTS: Final = ("best.png", "sheet.png", "path.md", "result.json", "trials.parquet")


def publish_run(
    project: Project,
    params: Params,
    steered: Steered,
    identity: Mapping[str, Any],
    facts: Mapping[str, Any],
    span: Span,
) -> str:
    """Log params, metrics by round and the files of the run's folder; return the run's id.

    Parameters
    ----------
    identity : what makes the run what it is (`pamela.steer.search.loop.run_identity`).
    facts : what else is to be seen among the params.
    """
    from pamela.evaluation.provenance import stable_hash
    from pamela.registry.tracking.publish import publish
    from pamela.registry.tracking.runs import RunSpec, flat

    whose = facts["user"] or "population"
    params_shown = {key: value for key, value in identity.items() if key != "searches"}
    spec = RunSpec(
        name=f"steer · {whose}",
        hash=stable_hash({"kind": "pamela steer", **identity}),
        note=(steered.folder / "path.md").read_text(encoding="utf-8"),
        params=flat("steer", {**params_shown, **facts}),
        metrics=_metrics(steered),
        tags={"stage": "steer", "model": steered.score.model_version, "user": str(whose)},
        datasets={},
        artifacts=[(steered.folder / name, "steering") for name in ARTIFACTS],
        span=span,
    )
    return publish(project, params, [spec])[0].run_id


def _metrics(steered: Steered) -> list[tuple[str, float, int]]:
    start, best = steered.path[0].score, steered.score
    final = {
        "rating": best.rating,
        "std": best.std,
        "percentile": best.percentile,
        "start_rating": start.rating,
        "gain": best.rating - start.rating,
        "pictures_asked": steered.trials.height,
        "pictures_distinct": steered.trials.select("prompt", "seed").n_unique(),
    }
    rounds = (
        steered.trials.group_by(ROUND, maintain_order=True)
        .agg(best=pl.col(RATING).max(), mean=pl.col(RATING).mean())
        .with_columns(best_so_far=pl.col("best").cum_max())
    )
    by_round = [
        (f"round/{name}", float(row[name]), int(row[ROUND]))
        for row in rounds.iter_rows(named=True)
        for name in ("best_so_far", "best", "mean")
    ]
    return [*((key, float(value), 0) for key, value in final.items()), *by_round]
