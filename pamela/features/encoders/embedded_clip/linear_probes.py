"""What features hold: linear probes for the renderer's labels, recall, plain baselines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pamela.core.arrays import Floats32

ALPHAS = np.logspace(-1, 4, 11)
PERCENTILES = (5, 25, 50, 75, 95)
THUMBNAIL = 4  # pixels a side
RARE = 5


def attribute_r2(
    features: Floats32, attributes: Floats32, names: Sequence[str], n_train: int
) -> dict[str, float]:
    """Return the held-out R2 of a ridge probe for every attribute.

    Parameters
    ----------
    features : (n, d); the first `n_train` rows fit, the others test.
    attributes : (n, len(names)); NaN rows are left out.
    """
    scores = {}
    for column, name in enumerate(names):
        target = attributes[:, column]
        known = np.isfinite(target)
        train, test = known.copy(), known.copy()
        train[n_train:], test[:n_train] = False, False
        probe = make_pipeline(StandardScaler(), RidgeCV(ALPHAS))
        probe.fit(features[train], target[train])
        scores[name] = float(probe.score(features[test], target[test]))
    return scores


def class_accuracy(features: Floats32, labels: npt.NDArray[np.str_], n_train: int) -> float:
    """Return the held-out accuracy of a shrunk linear discriminant probe.

    Classes with fewer than RARE rows to fit on are left out.
    """
    names, counts = np.unique(labels[:n_train], return_counts=True)
    kept = np.isin(labels, names[counts >= RARE])
    features, n_train = features[kept], int(kept[:n_train].sum())
    labels = labels[kept]
    probe = make_pipeline(
        StandardScaler(), LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    )
    probe.fit(features[:n_train], labels[:n_train])
    return float(probe.score(features[n_train:], labels[n_train:]))


def recall_at_1(image: Floats32, text: Floats32, batch: int = 64) -> tuple[float, float]:
    """Return (image-to-text, text-to-image) recall@1 over consecutive batches of unit rows."""
    batches = len(image) // batch
    a = image[: batches * batch].reshape(batches, batch, -1)
    b = text[: batches * batch].reshape(batches, batch, -1)
    similarity = np.einsum("nid,njd->nij", a, b)
    own = np.arange(batch)
    return (
        float((similarity.argmax(2) == own).mean()),
        float((similarity.argmax(1) == own).mean()),
    )


def colour_statistics(pictures: npt.NDArray[np.uint8]) -> Floats32:
    """Return plain statistics of uint8 pictures (n, s, s, 3), shape (n, d).

    Mean, standard deviation and percentiles of red, green, blue and of saturation and value, and
    a 4 x 4 thumbnail: what one gets without learning anything.
    """
    n = len(pictures)
    rgb = pictures.reshape(n, -1, 3).astype(np.float32) / 255
    high, low = rgb.max(2), rgb.min(2)
    saturation = (high - low) / np.maximum(high, 1e-3)
    channels = np.concatenate([rgb, saturation[:, :, None], high[:, :, None]], 2)
    percentiles = np.percentile(channels, PERCENTILES, axis=1)
    small = [
        np.asarray(Image.fromarray(p).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))
        for p in pictures
    ]
    return np.concatenate(
        [
            channels.mean(1),
            channels.std(1),
            percentiles.transpose(1, 0, 2).reshape(n, -1),
            np.stack(small).reshape(n, -1).astype(np.float32) / 255,
        ],
        axis=1,
    ).astype(np.float32)
