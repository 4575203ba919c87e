"""A steered prompt as a run in MLflow: found again where the same was steered before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from pamela.core.errors import PamelaError, require
from pamela.core.paths import Project
from pamela.core.timeline import Span
from pamela.params import Params, tracking_uri
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

    Raises
    ------
    PamelaError
        If MLflow fails; the same run can be published again.
    """
    from pamela.evaluation.provenance import stable_hash
    from pamela.registry.tracking.publish import publish, reason_of
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
    try:
        return publish(project, params, [spec])[0].run_id
    except Exception as error:  # MLflow's, a database's, a server's: the result is there already
        raise PamelaError(
            f"MLflow does not show the run ({reason_of(error)}); all of it lies in "
            f"{steered.folder}, and the same command tries again"
        ) from None


def require_tracking(project: Project, params: Params) -> None:
    """Raise if MLflow is not installed, or its server does not answer, before any work.

    Raises
    ------
    PamelaError
        Saying what to do.
    """
    require("mlflow", "to show the run in MLflow (track)")
    from pamela.registry.reachable import require_server

    require_server(tracking_uri(params, project.root))


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
