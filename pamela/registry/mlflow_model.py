"""A bundle as an MLflow model: its signature, an example, and what loads it, without a pickle.

The files are added to the folder of a registered bundle, so that MLflow can show and serve it:
``mlflow models serve -m models:/pamela@champion``. `pamela.serving.pyfunc` answers.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pamela import __version__
from pamela.core import schema as s
from pamela.core.files import atomic_path, read_json, read_parquet
from pamela.params import PRECOMPUTED
from pamela.registry.mlflow_logging import quieten_mlflow

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

LOADER: Final = "pamela.serving"
DESCRIPTION_FILE: Final = "MLmodel"
MLFLOW_FILES: Final = (  # beside a bundle's own
    DESCRIPTION_FILE,
    "conda.yaml",
    "input_example.json",
    "python_env.yaml",
    "requirements.txt",
    "serving_input_example.json",
)
PICTURE, RATINGS, CHOICES, DEMOGRAPHICS = "image", "ratings", "choices", "demographics"
TEXTS: Final = ("user", s.DATASET, s.PROMPT, PICTURE, s.IMAGE)
NUMBERS_OUT: Final = ("rating", "std", "percentile")
TEXTS_OUT: Final = ("source", "model_version")
FLAGS_OUT: Final = ("prompt_cut", "standardised")
# A grey PNG of one pixel, for the input example.
GREY_PNG: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNoaGgAAAMEAYFL09IQAAAAAElFTkSuQmCC"
)


def write_mlflow_files(bundle: Path) -> None:
    """Add what MLflow needs to know of a bundle to its folder: signature, example, loader."""
    quieten_mlflow()
    import mlflow.pyfunc
    import pandas as pd

    with tempfile.TemporaryDirectory() as aside:
        folder = Path(aside) / "model"
        mlflow.pyfunc.save_model(
            str(folder),
            loader_module=LOADER,
            signature=signature(),
            input_example=pd.DataFrame([example(bundle)]),
            pip_requirements=[f"pamela=={__version__}"],
        )
        for path in sorted(folder.iterdir(), key=lambda p: p.name == DESCRIPTION_FILE):
            with atomic_path(bundle / path.name) as made:
                shutil.copyfile(path, made)


def signature() -> ModelSignature:
    """Return which columns go in and come out, with their types."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, DataType, Schema, TensorSpec

    text, number = DataType.string, DataType.double
    # A typed list or map may not be absent from some rows only; `pamela.serving.pyfunc` checks
    # them.
    inputs: list[ColSpec | TensorSpec] = [
        *(ColSpec(text, name, required=False) for name in TEXTS),
        *(ColSpec(AnyType(), name, required=False) for name in (RATINGS, CHOICES, DEMOGRAPHICS)),
    ]
    outputs: list[ColSpec | TensorSpec] = [
        *(ColSpec(number, name) for name in NUMBERS_OUT),
        *(ColSpec(text, name) for name in TEXTS_OUT),
        *(ColSpec(DataType.boolean, name) for name in FLAGS_OUT),
    ]
    return ModelSignature(Schema(inputs), Schema(outputs))


def example(bundle: Path) -> dict[str, str | None]:
    """Return a row that can be scored as it is."""
    meta = read_json(bundle / "bundle.json")
    row: dict[str, str | None] = {"user": None, s.DATASET: next(iter(meta["datasets"]))}
    if meta["encoder"]["encoder"] == PRECOMPUTED:
        return row | {s.IMAGE: read_parquet(bundle / "catalog.parquet", [s.IMAGE])[s.IMAGE][0]}
    return row | {s.PROMPT: "a red barn at dusk", PICTURE: GREY_PNG}
