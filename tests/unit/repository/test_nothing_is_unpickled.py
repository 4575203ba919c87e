"""No code of ours runs what a file says: pickles, YAML tags, `eval`; weights come as tensors."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.paths import ROOT

FILES = sorted(p for top in ("pamela", "flows", "benchmarks") for p in (ROOT / top).rglob("*.py"))
MODULES = {
    "pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve",
    "pickletools", "yaml", "torch.package",
}  # fmt: skip
CALLS = {
    "eval", "exec", "compile", "__import__", "torch.hub.load", "torch.jit.load", "pl.read_pickle",
    "pd.read_pickle", "pandas.read_pickle", "mlflow.sklearn.load_model",
    "mlflow.pytorch.load_model", "pl.Expr.deserialize", "pl.DataFrame.deserialize",
    "pl.LazyFrame.deserialize",
}  # fmt: skip
# What may hold a pickle is read with the keyword that forbids it.
WANTED = {
    "torch.load": ("weights_only", True),
    "load_from_checkpoint": ("weights_only", True),
    "open_clip.create_model": ("weights_only", True),
    "trainer.fit": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "np.save": ("allow_pickle", False),
}
# Its own processes hand each other a job; nothing comes from outside.
ALLOWED = {"pamela/models/transformer/ddp.py: pickle"}


def faults(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            yield node.module
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in CALLS:
                yield name
            for call, (keyword, value) in WANTED.items():
                said = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
                if not f".{name}".endswith(f".{call}") or not reads(call, node, said):
                    continue
                if said.get(keyword) is not value:
                    yield f"{name} without {keyword}={value}"


def reads(call: str, node: ast.Call, said: dict[str | None, object]) -> bool:
    """Tell whether a call reads a file: training may begin anew, a network be built untrained."""
    if call == "trainer.fit":
        return "ckpt_path" in said
    return call != "open_clip.create_model" or len(node.args) > 1


def test_no_module_reads_what_could_run_code():
    found = {
        f"{path.relative_to(ROOT)}: {fault}"
        for path in FILES
        for fault in faults(ast.parse(path.read_text()))
    }
    assert found == ALLOWED


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("import pickle", "pickle"),
        ("from joblib import load", "joblib"),
        ("np.load(path)", "np.load without allow_pickle=False"),
        ("np.load(path, allow_pickle=False)", None),
        ("np.load(path, allow_pickle=choice)", "np.load without allow_pickle=False"),
        ("torch.load(path, weights_only=False)", "torch.load without weights_only=True"),
        ("eval(text)", "eval"),
        ("model.eval()", None),
    ],
)
def test_the_walk_sees(code, fault):
    assert list(faults(ast.parse(code))) == ([fault] if fault else [])


def test_files_are_read_as_data(small_project):
    """Python itself is asked, while everything that comes from outside is read the usual ways."""
    import datetime as dt
    import pickle

    import mlflow.pyfunc
    import numpy as np
    import pandas as pd

    import pamela
    from pamela.core.dataset import load_fold
    from pamela.core.errors import PamelaError
    from pamela.data import formats
    from pamela.features.precomputed import read_rows
    from pamela.registry.versions import resolve
    from tests.helpers.unpickling import unpickled

    batch = _batch(small_project.root / "batch")
    with unpickled() as heard:
        pickle.loads(pickle.dumps(dt.date(2026, 1, 1)))  # noqa: S301, so it would be heard
        assert heard == ["datetime.date"]
    with unpickled() as heard:
        for uri in ("models:/pamela@champion", "models/bundle"):
            reward = pamela.load(uri)
            reward.score(user="p001", prompt="a barn", images=["barn.png"])
        ratings = [("data/pictures/i01.png", 4.0), ("data/pictures/i02.png", 1.0)]
        reward.score(user=reward.adapt(ratings=ratings), images=["lake.png"])
        served = mlflow.pyfunc.load_model(str(resolve("models:/pamela@champion", small_project)))
        served.predict(pd.DataFrame([{"user": "p001", "image_id": "i01"}]).astype(object))
        load_fold(small_project, 0)
        tables = formats.read_batch(batch, "synthetic", small_project.root)
        assert tables.ratings.collect().height == 2
        assert read_rows(small_project, [tables.features], tables.images["image_id"]).shape[1] == 3
    assert heard == []
    np.savez(batch / "features.npz", image_id=np.array(["n1", None]), features=np.eye(2))
    with unpickled() as heard, pytest.raises(PamelaError, match="image_id"):
        tables = formats.read_batch(batch, "synthetic", small_project.root)
    assert heard == []


def _batch(folder: Path) -> Path:
    """Write a batch with pictures and features of its own."""
    import shutil

    import numpy as np

    (folder / "images").mkdir(parents=True)
    for name in ("n1", "n2"):
        shutil.copyfile("barn.png", folder / "images" / f"{name}.png")
    (folder / "dataset.yaml").write_text("name: synthetic\nscale: [1, 5]\nfeatures: features.npz\n")
    (folder / "ratings.csv").write_text("user_id,image_id,rating\np001,n1,4\np002,n2,2\n")
    (folder / "images.csv").write_text(
        "image_id,file,prompt\nn1,images/n1.png,a\nn2,images/n2.png,b\n"
    )
    np.savez(folder / "features.npz", image_id=np.array(["n1", "n2"]), features=np.eye(2, 3))
    return folder
