"""The ablation in MLflow: a run per dataset that holds the page, and below it one per variant.

All carry the tag ``kind`` = ``ablation``. What produced them is read from the record beside the
table, not from the params of now.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from pamela.core.files import read_json, read_parquet
from pamela.core.paths import Project
from pamela.core.timeline import Timeline
from pamela.evaluation.ablation import FULL, RECORD, TABLE, VARIANT, slice_name, variant_name
from pamela.evaluation.metrics import definitions as m
from pamela.evaluation.metrics.schema import MODEL, POPULATION, SHOTS
from pamela.evaluation.provenance import frame_hash, stable_hash
from pamela.evaluation.results import Results
from pamela.params import Params
from pamela.registry.tracking.flat_params import flat
from pamela.registry.tracking.run_metrics import with_interval
from pamela.registry.tracking.runs import RunSpec, common_tags, run_specs
from pamela.reporting.ablation_page import COMMAND, PAGE, ablation_sentences, by_dataset

KIND = "ablation"


def all_specs(project: Project, params: Params) -> list[RunSpec]:
    """Return every run of the results that are there: the ablation's, then the pipeline's."""
    return [*ablation_specs(project, params), *run_specs(Results(project, params))]


def ablation_specs(project: Project, params: Params) -> list[RunSpec]:
    """Return the runs of the ablation that lies in ``reports/``; none where there is none."""
    if not (project.reports / TABLE).is_file() or not (project.reports / RECORD).is_file():
        return []
    record = read_json(project.reports / RECORD)
    table = read_parquet(project.reports / TABLE)
    encoder = record["encoder"]
    tags = common_tags(Results(project, params)) | {
        "encoder": f"{encoder['encoder']} ({str(encoder['fingerprint'])[:8]})",
        "kind": KIND,
        "stage": KIND,
        "mlflow.source.name": COMMAND,
    }
    specs = []
    for dataset, rows in by_dataset(table):
        parent = _parent(project, dataset, rows, record, tags)
        keys = rows.select(MODEL, VARIANT).unique(maintain_order=True).rows()
        specs += [parent, *(_variant(project, key, rows, record, parent) for key in reversed(keys))]
    return specs


def _parent(
    project: Project, dataset: str, rows: pl.DataFrame, record: dict[str, Any], tags: dict[str, str]
) -> RunSpec:
    files = [project.reports / PAGE, project.reports / TABLE]
    digest = record["datasets"][dataset]
    made = {key: record[key] for key in ("encoder", "params")}
    return RunSpec(
        name=f"{KIND} · {dataset}",
        hash=stable_hash({"kind": KIND, "dataset": [dataset, digest], "made": made,
                          "numbers": frame_hash(rows)}),
        note=(
            "What user, demographics and metadata are worth: models trained again without them. "
            f"Under Artifacts: the page. {' '.join(ablation_sentences(rows))}"
        ),
        params={
            key: value
            for section, values in record["params"].items()
            for key, value in flat(section, values).items()
        },
        metrics=[],
        tags=tags | {"dataset": dataset, "dataset_hash": digest},
        datasets={dataset: digest},
        artifacts=[(path, KIND) for path in files if path.is_file()],
        span=Timeline.of(project, KIND).whole,
        tables={"ablation.json": rows.drop("dataset")},
    )  # fmt: skip


def _variant(
    project: Project,
    key: tuple[str, str],
    rows: pl.DataFrame,
    record: dict[str, Any],
    parent: RunSpec,
) -> RunSpec:
    model, variant = key
    mine = rows.filter((pl.col(MODEL) == model) & (pl.col(VARIANT) == variant))
    return RunSpec(
        name=f"{model}, {variant_name(variant)} · {parent.tags['dataset']}",
        hash=stable_hash({"kind": KIND, "parent": parent.hash, "variant": list(key)}),
        note=_note(model, variant, mine),
        params=parent.params | flat("chosen", record["chosen"][model][variant].get("fold_0", {})),
        metrics=[
            point for row in mine.iter_rows(named=True) for point in _points(row)
        ],
        tags=parent.tags | {"model": model, "variant": variant},
        datasets=parent.datasets,
        parent=parent.hash,
        span=Timeline.of(project, KIND).step("fit and ask", model, variant),
    )  # fmt: skip


def _points(row: dict[str, Any]) -> list[tuple[str, float, int]]:
    """Return ``<seen|unseen_k>_<metric>`` and, but for the full model, ``_minus_full``."""
    name = f"{slice_name(row[POPULATION], row[SHOTS])}_{row['metric']}"
    found = [(name, row["value"])]
    if row[VARIANT] != FULL:
        found += [
            (f"{name}_minus_full", row["difference"]),
            (f"intervals/{name}_minus_full_ci_low", row["difference_ci_low"]),
            (f"intervals/{name}_minus_full_ci_high", row["difference_ci_high"]),
        ]
    return [(key, float(value), 0) for key, value in found if value is not None]


def _note(model: str, variant: str, rows: pl.DataFrame) -> str:
    lines = [
        f"**{model}** with {variant_name(variant)} of user, demographics and metadata."
        if variant == FULL or variant_name(variant).startswith("none")
        else f"**{model}** {variant_name(variant)}.",
        "",
        "| users | SROCC |",
        "|---|---:|",
    ]
    for row in rows.filter(metric=m.SROCC).iter_rows(named=True):
        lines.append(f"| {slice_name(row[POPULATION], row[SHOTS])} | {with_interval(row)} |")
    return "\n".join(lines)
