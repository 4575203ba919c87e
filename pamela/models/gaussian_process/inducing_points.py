"""A Gaussian process on pictures that inducing pictures ("landmarks") carry.

The deterministic training conditional (Quinonero-Candela & Rasmussen 2005): exact where every
training picture is a landmark, else in time linear in the number of pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy

from pamela.core import schema as s
from pamela.core.arrays import Floats, Ints
from pamela.core.dataset import Items
from pamela.models.gaussian_process.kernels import Inputs, Kernels
from pamela.models.gaussian_process.selection import Targets
from pamela.models.preprocessing import sanitise

CHUNK = 4096  # pictures at a time
JITTER = 1e-6


@dataclass(frozen=True)
class PictureFunction:
    """The fitted function: landmarks, their weights, and what they take off the prior variance.

    Attributes
    ----------
    weights : of the kernels.
    alpha : (landmarks,), by which the kernels to the landmarks give the posterior mean.
    reduction : (landmarks, landmarks), by which they give what is taken off the prior variance.
    """

    kernels: Kernels
    weights: Floats
    landmark_items: Items
    alpha: Floats
    reduction: Floats

    @classmethod
    def fit(
        cls, kernels: Kernels, weights: Floats, data: Targets, precision: Floats, landmarks: Ints
    ) -> Self:
        """Condition on all training pictures through the landmarks.

        Parameters
        ----------
        weights : of the kernels.
        precision : (m,), of each picture's mean.
        landmarks : rows of `data`.
        """
        items, target = data.items, data.mean
        landmark_items = _stored(items.take(landmarks))
        inducing = kernels.inputs(landmark_items)
        prior = _prior(kernels, inducing, weights)
        total, right = prior.copy(), np.zeros(len(landmarks))
        for start in range(0, len(items), CHUNK):
            span = np.arange(start, min(start + CHUNK, len(items)))
            inputs = kernels.inputs(items.take(span))
            cross = kernels.total(inducing, inputs, weights)
            total += (cross * precision[span]) @ cross.T
            right += cross @ (precision[span] * target[span])
        factor = scipy.linalg.cho_factor(total, lower=True)
        identity = np.eye(len(landmarks))
        reduction = scipy.linalg.cho_solve(scipy.linalg.cho_factor(prior, lower=True), identity)
        reduction -= scipy.linalg.cho_solve(factor, identity)
        alpha = scipy.linalg.cho_solve(factor, right)
        return cls(kernels, weights, landmark_items, alpha, reduction)

    @cached_property
    def landmarks(self) -> Inputs:
        """The landmarks as the kernels take them: only pictures not trained on need them."""
        return self.kernels.inputs(self.landmark_items)

    def mean_and_variance(self, items: Items) -> tuple[Floats, Floats]:
        """Return the posterior mean and variance per picture."""
        means, variances = [np.zeros(0)], [np.zeros(0)]
        for start in range(0, len(items), CHUNK):
            rows = np.arange(start, min(start + CHUNK, len(items)))
            inputs = self.kernels.inputs(items.take(rows))
            cross = self.kernels.total(inputs, self.landmarks, self.weights)
            prior = self.kernels.diagonal(inputs, self.weights)
            taken = np.einsum("ij,ij->i", cross @ self.reduction, cross)
            means.append(cross @ self.alpha)
            variances.append(np.clip(prior - taken, 0.0, None))
        return np.concatenate(means), np.concatenate(variances)

    def held_out(self, data: Targets, precision: Floats, part: Ints, folds: int) -> Floats:
        """Return training pictures' means (m,) from fits without the pictures of their own part.

        The landmarks and the kernels' weights stay those of the whole fit.

        Parameters
        ----------
        precision : (m,), of each picture's mean, as in `fit`.
        part : (m,), below `folds`.
        """
        prior = _prior(self.kernels, self.landmarks, self.weights)
        count = len(self.landmarks)
        grams, rights = np.zeros((folds, count, count)), np.zeros((folds, count))
        for number in range(folds):
            for rows in _chunks(np.flatnonzero(part == number)):
                cross = self._cross(data.items, rows)
                grams[number] += (cross * precision[rows]) @ cross.T
                rights[number] += cross @ (precision[rows] * data.mean[rows])
        total, right = prior + sum(grams), sum(rights)
        score = np.zeros(len(data.items))
        for number in range(folds):
            factor = scipy.linalg.cho_factor(total - grams[number], lower=True)
            alpha = scipy.linalg.cho_solve(factor, right - rights[number])
            for rows in _chunks(np.flatnonzero(part == number)):
                # made again: those of a million pictures would not fit
                score[rows] = alpha @ self._cross(data.items, rows)
        return score

    def _cross(self, items: Items, rows: Ints) -> Floats:
        """Return the covariance (landmarks, n) of some pictures."""
        inputs = self.kernels.inputs(items.take(rows))
        return self.kernels.total(self.landmarks, inputs, self.weights)

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return config and arrays."""
        items = self.landmark_items
        config = {
            "kernels": self.kernels.to_json(),
            "landmarks": {key: items.frame[key].to_list() for key in (s.DATASET, *s.METADATA)},
        }
        arrays = {
            **self.kernels.arrays(),
            "weights": self.weights,
            "alpha": self.alpha,
            "reduction": self.reduction,
            "landmarks.image": items.image,
            "landmarks.prompt": items.prompt,
        }
        return config, arrays

    @classmethod
    def from_state(cls, config: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Rebuild from `state`."""
        columns = config["landmarks"]
        frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
        return cls(
            Kernels.from_saved(config["kernels"], arrays),
            arrays["weights"],
            Items(frame, arrays["landmarks.image"], arrays["landmarks.prompt"]),
            arrays["alpha"],
            arrays["reduction"],
        )


def _chunks(rows: Ints) -> Iterator[Ints]:
    return (rows[begin : begin + CHUNK] for begin in range(0, len(rows), CHUNK))


def _prior(kernels: Kernels, landmarks: Inputs, weights: Floats) -> Floats:
    """Return the landmarks' prior covariance, with a little added so that it can be factored."""
    prior = kernels.total(landmarks, landmarks, weights)
    prior += JITTER * np.trace(prior) / len(prior) * np.eye(len(prior))
    return prior


def _stored(items: Items) -> Items:
    """Return items as a saved model will see them, so that loading changes no score."""
    frame = items.frame.select(s.DATASET, *s.METADATA)
    image, prompt = (np.ascontiguousarray(sanitise(f)) for f in (items.image, items.prompt))
    return Items(frame, image, prompt)
