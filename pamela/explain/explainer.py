"""Why this person's score differs from everybody's: attributes, metadata, words and prompts.

The personal part of a score (`pamela.explain.personal_part`) on the training pictures is related to
what can be said of them (`pamela.explain.item_properties`). Explanations read the model, the
features and the encoder alone. They say what the MODEL does; ``docs/explanations.md`` says what
that does not mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats
from pamela.core.dataset import People
from pamela.core.errors import PamelaError
from pamela.explain.effects import RESAMPLES, Effects, means, shrunken, slopes
from pamela.explain.item_properties import SEED, ImageProperties
from pamela.explain.personal_part import (
    Context,
    LinearParts,
    PersonalPart,
    PredictedParts,
    parts_of,
)
from pamela.explain.result import (
    CONCEPTS_SCHEMA,
    LEVELS_SCHEMA,
    PICTURES_SCHEMA,
    PROMPTS_SCHEMA,
    WORDS_SCHEMA,
    Explanation,
    IntervalEstimate,
)
from pamela.features.encoders.base import Encoder
from pamela.models.base import on_scale
from pamela.params import PRECOMPUTED
from pamela.training.bundle import Bundle
from pamela.training.user_lookup import UserLookup

EXAMPLES: Final = 9  # pictures and prompts at either end
SIZED_ON: Final = 100  # pictures on which people's tastes are compared in size
NO_DRAWS: Final = (
    "the model gives no posterior of the person, so intervals hold the choice of pictures alone"
)


@dataclass(frozen=True)
class Person:
    """Whom to explain.

    Attributes
    ----------
    row : one row of people; `name` is how to call them, `source` as of `pamela.Score`.
    context : what they rated, for somebody absent from training.
    """

    name: str
    source: str
    row: People
    context: Context | None = None

    @property
    def dataset(self) -> str:
        """Whose raters this person is one of."""
        name: str = self.row.frame[s.DATASET][0]
        return name


@dataclass
class Explainer:
    """Explains people by one bundle; what all of a dataset share is prepared once.

    Parameters
    ----------
    encoder : opens the bundle's encoder; not called for precomputed features.
    """

    bundle: Bundle
    encoder: Callable[[], Encoder]
    _image_properties: dict[str, ImageProperties] = field(default_factory=dict)
    _parts: dict[str, PredictedParts | LinearParts] = field(default_factory=dict)

    def image_properties(self, dataset: str) -> ImageProperties:
        """Return what the training pictures of `dataset` are looked at through."""
        if dataset not in self._image_properties:
            catalog = self.bundle.items
            own = (catalog.frame[s.DATASET] == dataset).to_numpy() & self.bundle.in_train_items
            if not own.any():
                raise PamelaError(f"dataset {dataset}: no training pictures to explain with")
            shipped = self.bundle.encoder["encoder"] == PRECOMPUTED
            self._image_properties[dataset] = ImageProperties.make(
                catalog.take(np.flatnonzero(own)), None if shipped else self.encoder()
            )
        return self._image_properties[dataset]

    def parts(self, dataset: str) -> PredictedParts | LinearParts:
        """Return how to find personal parts on the pictures of a dataset."""
        if dataset not in self._parts:
            items, nobody = self.image_properties(dataset).items, self._cold_start_user(dataset)
            self._parts[dataset] = parts_of(self.bundle.model, items, nobody)
        return self._parts[dataset]

    def sizes(self, dataset: str, people: People) -> Floats:
        """Return the size of each person's taste (people,), over `SIZED_ON` training pictures."""
        items = self.image_properties(dataset).items
        some = np.unique(np.linspace(0, len(items) - 1, SIZED_ON).astype(np.int64))
        parts = parts_of(self.bundle.model, items.take(some), self._cold_start_user(dataset))
        return parts.spreads(people)

    def _cold_start_user(self, dataset: str) -> People:
        return UserLookup(self.bundle).cold_start_user(dataset, {})

    def explain(self, person: Person) -> Explanation:
        """Return what raises and lowers this person's score against the population.

        Raises
        ------
        PamelaError
            If the model scores everybody alike, or nothing is known of the person.
        """
        model = self.bundle.model
        if not model.personal:
            raise PamelaError(
                f"the model {model.name!r} orders pictures alike for everybody: nothing to "
                "explain; load a personal one, e.g. hierarchical"
            )
        if person.source == "population":
            raise PamelaError(
                "the population has no personal part: name a user, or adapt to some ratings"
            )
        properties = self.image_properties(person.dataset)
        part = self.parts(person.dataset).of(person.row, person.context, draws=RESAMPLES, seed=SEED)
        scale = self.bundle.scales[person.dataset]
        unit = s.internal_unit(*scale)
        notes = properties.notes if part.draws is not None else (*properties.notes, NO_DRAWS)
        concepts, explained = concept_table(properties, part, unit)
        return Explanation(
            user=person.name,
            dataset=person.dataset,
            source=person.source,
            model_version=self.bundle.version,
            scale=scale,
            level=_interval(means(part, properties.resamples).times(unit)),
            follows=_follows(properties, part),
            spread=float(part.mean.std()) * unit,
            explained=explained,
            pictures_seen=len(properties.items),
            concepts=concepts,
            levels=level_table(properties, part, unit),
            words=word_table(properties, part, unit),
            prompts=prompt_table(properties, part, unit),
            pictures=picture_table(properties, part, scale),
            notes=notes,
        )


def _interval(effects: Effects, plus: float = 0.0) -> IntervalEstimate:
    return IntervalEstimate(
        *(float(x[0]) + plus for x in (effects.value, effects.low, effects.high))
    )


def _follows(properties: ImageProperties, part: PersonalPart) -> IntervalEstimate:
    """Return the slope of the person's score on the population's."""
    return _interval(slopes(part.common[:, None], part, properties.resamples), plus=1.0)


def _columns(effects: Effects, prefix: str = "") -> dict[str, np.ndarray]:
    if prefix:
        names = (prefix, f"{prefix}_low", f"{prefix}_high")
    else:
        names = ("effect", "ci_low", "ci_high")
    return dict(zip(names, (effects.value, effects.low, effects.high), strict=True))


def concept_table(
    properties: ImageProperties, part: PersonalPart, unit: float
) -> tuple[pl.DataFrame, float | None]:
    """Return the effect of every concept, together and alone, and the share explained."""
    if properties.together is None:
        return CONCEPTS_SCHEMA.to_frame(), None
    alone = slopes(properties.scores, part, properties.resamples).times(properties.spans * unit)
    spread = properties.scores.std(axis=0)
    spans = np.divide(properties.spans, spread, out=np.zeros_like(spread), where=spread > 0)
    together, explained = properties.together.fit(part, properties.resamples)
    frame = pl.DataFrame(
        {
            "theme": [c.theme for c in properties.concepts],
            "low": [c.low for c in properties.concepts],
            "high": [c.high for c in properties.concepts],
            **_columns(together.times(spans * unit)),
            **_columns(alone, "alone"),
        },
        schema=CONCEPTS_SCHEMA,
    )
    return frame.sort(pl.col("effect").abs(), descending=True, maintain_order=True), explained


def level_table(properties: ImageProperties, part: PersonalPart, unit: float) -> pl.DataFrame:
    """Return the mean personal part of every metadata level less that of all pictures."""
    if not properties.levels.height:
        return LEVELS_SCHEMA.to_frame()
    elsewhere = 1.0 - properties.levels["pictures"].to_numpy() / len(properties.items)
    found = slopes(properties.members, part, properties.resamples).times(elsewhere * unit)
    return (
        properties.levels.with_columns(**{k: pl.Series(v) for k, v in _columns(found).items()})
        .select(*(pl.col(c).cast(kind) for c, kind in LEVELS_SCHEMA.items()))
        .sort("effect", descending=True, maintain_order=True)
    )


def word_table(properties: ImageProperties, part: PersonalPart, unit: float) -> pl.DataFrame:
    """Return the shrunken effect of every word that enough prompts hold."""
    if not properties.words.words:
        return WORDS_SCHEMA.to_frame()
    sampling = slopes(
        properties.words.present, replace(part, draws=None), properties.resamples
    ).error
    found = shrunken(slopes(properties.words.present, part, properties.resamples), sampling).times(
        unit
    )
    counts = np.asarray(properties.words.present.sum(axis=0)).ravel().astype(np.int64)
    return pl.DataFrame(
        {"word": properties.words.words, "pictures": counts, **_columns(found)}, schema=WORDS_SCHEMA
    ).sort("effect", descending=True, maintain_order=True)


def prompt_table(properties: ImageProperties, part: PersonalPart, unit: float) -> pl.DataFrame:
    """Return the prompts whose pictures are raised and lowered most, beyond the person's level."""
    drawn = part.mean[None, :] if part.draws is None else part.draws
    beyond = drawn - drawn.mean(axis=1, keepdims=True)
    frame = properties.items.frame.select(s.PROMPT).with_row_index("row").drop_nulls()
    of = frame.group_by(s.PROMPT, maintain_order=True).agg(
        pl.col("row"), pictures=pl.len().cast(pl.Int64)
    )
    if of.height < 2 * EXAMPLES:
        return PROMPTS_SCHEMA.to_frame()
    value = part.mean - part.mean.mean()
    place = np.repeat(np.arange(of.height), of["pictures"].to_numpy())
    rows = of["row"].explode(empty_as_null=False).to_numpy()
    share = np.bincount(place, value[rows], of.height) / of["pictures"].to_numpy()
    order = np.argsort(-share, kind="stable")
    chosen = np.concatenate([order[:EXAMPLES], order[-EXAMPLES:]])
    resampled = np.stack([beyond[:, rows[place == k]].mean(axis=1) for k in chosen], axis=1)
    low, high = np.quantile(resampled, [0.025, 0.975], axis=0)
    sure = part.draws is not None
    return pl.DataFrame(
        {
            "prompt": of[s.PROMPT].gather(chosen),
            "pictures": of["pictures"].gather(chosen),
            "effect": share[chosen] * unit,
            "ci_low": low * unit if sure else [None] * len(chosen),
            "ci_high": high * unit if sure else [None] * len(chosen),
        },
        schema=PROMPTS_SCHEMA,
    )


def picture_table(
    properties: ImageProperties, part: PersonalPart, scale: tuple[float, float]
) -> pl.DataFrame:
    """Return the pictures raised and lowered most, one of a prompt, with both predicted ratings."""

    def shown(mean: np.ndarray) -> pl.Series:
        return pl.Series(s.from_internal(on_scale(mean).astype(np.float64), *scale))

    frame = properties.items.frame.select(
        s.IMAGE,
        # a catalog without files has no hashes
        pl.col(s.SHA256)
        if s.SHA256 in properties.items.frame.columns
        else pl.lit(None).alias(s.SHA256),
        s.PROMPT,
        effect=pl.Series((part.mean - part.mean.mean()) * s.internal_unit(*scale)),
        person=shown(part.common + part.mean),
        population=shown(part.common),
        _of=pl.coalesce(s.PROMPT_ID, s.PROMPT, s.IMAGE),
    ).sort("effect", descending=True, maintain_order=True)
    up = frame.unique("_of", keep="first", maintain_order=True).head(EXAMPLES)
    down = frame.reverse().unique("_of", keep="first", maintain_order=True).head(EXAMPLES)
    found = pl.concat([up, down.reverse()]).unique(s.IMAGE, keep="first", maintain_order=True)
    return found.select(*(pl.col(c).cast(kind) for c, kind in PICTURES_SCHEMA.items()))
