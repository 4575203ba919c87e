"""What a fitted `paper` keeps, how it predicts with it, and how it is saved."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from pamela.core.arrays import Bools, Floats32
from pamela.core.dataset import Items, Pairs, People
from pamela.models.base import on_scale, without_prefix
from pamela.models.preprocessing import UNKNOWN
from pamela.models.transformer.batches import EVAL_BATCH
from pamela.models.transformer.inputs import InputEncoding
from pamela.models.transformer.network import PreferenceTransformer, Shape
from pamela.models.transformer.target_scaling import Standard

NETWORK = "network."  # before the names of its arrays


@dataclass(frozen=True)
class FittedTransformer:
    """A trained network with what turns people and pictures into its tokens.

    Attributes
    ----------
    standard : how its output becomes a rating.
    """

    encoding: InputEncoding
    network: PreferenceTransformer
    shape: Shape
    standard: Standard

    def expected(self, items: Items, people: People, pairs: Pairs) -> Floats32:
        """Return the expected rating of `pairs`."""
        tables = self.encoding.tables(items, people)
        network = self.network.eval()
        out = [np.zeros(0)]
        with torch.no_grad():
            for start in range(0, len(pairs), EVAL_BATCH):
                # copies: a caller's arrays may be read-only, as those of a Polars column are
                user = torch.tensor(pairs.user[start : start + EVAL_BATCH])
                item = torch.tensor(pairs.item[start : start + EVAL_BATCH])
                rating = network(
                    tables.image[item], tables.prompt[item], tables.metadata[item],
                    tables.user[user], tables.demographics[user],
                )  # fmt: skip
                out.append(rating.double().numpy())
        mean, scale = self.standard.of(items, pairs)
        return on_scale(np.concatenate(out) * scale + mean)

    def knows(self, people: People) -> Bools:
        """Return, per row of `people`, whether that user was in training."""
        known: Bools = self.encoding.users.encode(people) != UNKNOWN
        return known

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return config and arrays."""
        config = {
            "shape": vars(self.shape),
            "size": asdict(self.encoding.size),
            "encoding": self.encoding.to_json(),
            **self.standard.to_json(),
        }
        arrays: dict[str, npt.NDArray[Any]] = {
            **self.encoding.image.arrays("image"),
            **self.encoding.prompt.arrays("prompt"),
        }
        for key, value in self.network.state_dict().items():
            arrays[NETWORK + key] = value.numpy()
        return config, arrays

    @classmethod
    def from_state(cls, config: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Rebuild from `state`, on the CPU."""
        encoding = InputEncoding.from_saved(config["encoding"], arrays)
        weights = without_prefix(arrays, NETWORK)
        return cls.of_weights(
            encoding, weights, Shape(**config["shape"]), Standard.from_json(config)
        )

    @classmethod
    def of_weights(
        cls,
        encoding: InputEncoding,
        weights: dict[str, npt.NDArray[Any]],
        shape: Shape,
        standard: Standard,
    ) -> Self:
        """Build the network around its weights, by name, on the CPU."""
        network = PreferenceTransformer(encoding.size, shape)
        network.load_state_dict(
            {key: torch.from_numpy(np.array(value)) for key, value in weights.items()}
        )
        return cls(encoding, network.eval(), shape, standard)
