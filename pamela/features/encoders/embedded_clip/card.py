"""What the embedded encoder can see, measured: figures and the card that ships with the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score

from pamela.core.arrays import Floats32
from pamela.features.encoders.base import Encoder
from pamela.features.encoders.embedded_clip.architecture import CODE
from pamela.features.encoders.embedded_clip.encoder import EmbeddedEncoder
from pamela.features.encoders.embedded_clip.labels import ANSWERS, looks
from pamela.features.encoders.embedded_clip.linear_probes import (
    attribute_r2,
    class_accuracy,
    colour_statistics,
    recall_at_1,
)
from pamela.features.encoders.embedded_clip.training_data import Pool
from pamela.synthetic.vocabulary import ATTRIBUTES, LIGHTINGS, STRONG, WORDS

FIT_SHARE = 0.75  # of the probing pool fits the probes, the rest tests them
MEAN_R2 = "mean R2 of attributes"
CLEAR = 0.4  # an attribute this far from 0 is clearly one or the other


def probe(features: Floats32, pool: Pool) -> dict[str, float]:
    """Return held-out probe figures of `features` (n, d) of a pool's pictures, by name."""
    n_fit = int(FIT_SHARE * len(pool))
    r2 = attribute_r2(features, pool.attributes, ATTRIBUTES, n_fit)
    return {
        **{f"R2 {name}": value for name, value in r2.items()},
        MEAN_R2: float(np.mean(list(r2.values()))),
        "accuracy type and group": class_accuracy(features, pool.type_group, n_fit),
        "accuracy style": class_accuracy(features, pool.style, n_fit),
        "accuracy subject": class_accuracy(features, pool.subject, n_fit),
        "accuracy lighting": class_accuracy(features, pool.lighting, n_fit),
    }


@dataclass(frozen=True)
class Figures:
    """Probe figures by kind of features, and recall@1 both ways."""

    probes: Mapping[str, Mapping[str, float]]
    recall: tuple[float, float]
    recall_untrained: tuple[float, float]
    zero_shot: Mapping[str, float]
    zero_shot_untrained: Mapping[str, float]
    pictures: int


def probe_encoders(trained: EmbeddedEncoder, untrained: EmbeddedEncoder, pool: Pool) -> Figures:
    """Probe both encoders and colour statistics on a pool of prompts not used in training."""
    image = trained.encode_images(list(pool.pictures))
    prompts = pool.captions[:, 0].tolist()
    prompt = trained.encode_prompts(prompts)
    raw = untrained.encode_images(list(pool.pictures))
    return Figures(
        probes={
            "trained": probe(image, pool),
            "trained + prompt": probe(np.hstack([image, prompt]), pool),
            "untrained": probe(raw, pool),
            "colour statistics": probe(colour_statistics(pool.pictures), pool),
        },
        zero_shot=words(trained, image, pool),
        zero_shot_untrained=words(untrained, raw, pool),
        recall=recall_at_1(trained.project(image), prompt),
        recall_untrained=recall_at_1(untrained.project(raw), untrained.encode_prompts(prompts)),
        pictures=len(pool),
    )


def words(encoder: EmbeddedEncoder, image: Floats32, pool: Pool) -> dict[str, float]:
    """Return how well words alone order pictures, by attribute, and name their lighting.

    An attribute's score is the similarity to its strong high words less that to its low words, in
    sentences without a subject ("a very bright picture"). The figure is the area under the curve
    between pictures above CLEAR and below -CLEAR.
    """
    joint = encoder.project(image)
    found = {}
    for column, (name, levels) in enumerate(WORDS.items()):
        high, low = (
            encoder.encode_prompts([looks([phrase]) for phrase in levels[end]]).mean(0)
            for end in (STRONG, -STRONG)
        )
        value = pool.attributes[:, column]
        clear = np.abs(value) > CLEAR  # NaN is not
        found[name] = float(roc_auc_score(value[clear] > 0, joint[clear] @ (high - low)))
    names = list(LIGHTINGS)
    texts = [
        encoder.encode_prompts([looks([phrase]) for phrase in LIGHTINGS[name]]).mean(0)
        for name in names
    ]
    seen = np.isin(pool.lighting, names)
    guess = np.array(names)[(joint[seen] @ np.array(texts).T).argmax(1)]
    found["lighting"] = float((guess == pool.lighting[seen]).mean())
    return found


def probe_table(probes: Mapping[str, Mapping[str, float]]) -> str:
    """Return the probe figures as a Markdown table, a row per figure."""
    kinds = list(probes)
    rows = [
        "| held-out probe | " + " | ".join(kinds) + " |",
        "|---|" + "---:|" * len(kinds),
    ]
    for name in probes[kinds[0]]:
        cells = " | ".join(f"{probes[kind][name]:.2f}" for kind in kinds)
        rows.append(f"| {name} | {cells} |")
    return "\n".join(rows)


def card(
    figures: Figures, encoder: Encoder, recipe: Mapping[str, object], size: Mapping[str, object]
) -> str:
    """Return the text of CARD.md."""
    lines = "\n".join(f"- {key.replace('_', ' ')}: {value}" for key, value in size.items())
    chosen = ", ".join(f"{key} {value}" for key, value in recipe.items())
    return f"""# The embedded encoder

A small open_clip model trained on rendered pictures of the embedded world (`pamela.synthetic`),
so that the default run needs no download. It knows nothing of photographs or of words outside its
vocabulary: for pictures of your own, name an open_clip model in `embed.encoder`.

- fingerprint: {encoder.fingerprint[:16]}
{lines}
- recipe: {chosen}
- reproduce: `python -m pamela.features.encoders.embedded_clip.train` (`make encoder`)

Image features ({encoder.image_dim}) are a learned code of {CODE} and the network's own
{ANSWERS} answers (its estimate of every attribute, its logits of group, style and lighting), all
standardised; prompt features ({encoder.prompt_dim}) are the text tower's projection, unit length.

## What the features hold

Linear probes on {figures.pictures} freshly rendered pictures of prompts that training never used,
{FIT_SHARE:.0%} to fit and the rest to test; every probe reads image features alone unless it says
`+ prompt`. Untrained: the same network before training, its BatchNorm statistics measured. Colour
statistics: mean, deviation and percentiles per channel, saturation and value, a 4 x 4 thumbnail.

{probe_table(figures.probes)}

Retrieval recall@1 in batches of 64 unseen prompts, image to text {figures.recall[0]:.2f}, text to
image {figures.recall[1]:.2f} (untrained {figures.recall_untrained[0]:.2f} and
{figures.recall_untrained[1]:.2f}). Recall alone misleads: global colour is enough for much of it.

## What words alone find

Zero-shot, no probe: similarity to "a very bright picture" less that to "a very dark picture", in
sentences without a subject. Area under the curve between pictures whose attribute is above {CLEAR}
and below -{CLEAR} (chance .50); for lighting the accuracy among {len(LIGHTINGS)}.

{zero_shot_table(figures)}
"""


def zero_shot_table(figures: Figures) -> str:
    """Return the zero-shot figures as a Markdown table."""
    rows = ["| words | trained | untrained |", "|---|---:|---:|"]
    rows += [
        f"| {name} | {value:.2f} | {figures.zero_shot_untrained[name]:.2f} |"
        for name, value in figures.zero_shot.items()
    ]
    return "\n".join(rows)
