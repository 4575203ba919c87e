"""The card that ships with the language model: what it answers, how far it steers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pamela.steer.language_model.comparison import ROUNDS, Reached
from pamela.steer.language_model.measure import CONTEXT, TEMPERATURE, TOP_P, AnswerFigures
from pamela.steer.language_model.searches import VARIANTS


@dataclass(frozen=True)
class Figures:
    """All that the card tells.

    Attributes
    ----------
    perplexity, perplexity_untrained : per token of held-out good answers.
    reached : by rewriter.
    """

    answers: AnswerFigures
    perplexity: float
    perplexity_untrained: float
    reached: Mapping[str, Reached]


def card(
    figures: Figures, fingerprint: str, recipe: Mapping[str, object], size: Mapping[str, object]
) -> str:
    """Return the text of CARD.md."""
    lines = "\n".join(f"- {key}: {value}" for key, value in size.items())
    chosen = ", ".join(f"{key} {value}" for key, value in recipe.items())
    found = figures.answers
    return f"""# The embedded language model

A small causal language model (Llama, `transformers`) that rewrites prompts of the embedded world by
the protocol of `pamela/steer/rewriters/protocol.py`, so that steering with a language model needs
no download: `steer.rewriter: embedded`. It knows the words of `pamela.synthetic.vocabulary` alone:
for prompts of your own, name another model.

- fingerprint: {fingerprint[:16]}
{lines}
- recipe: {chosen}
- reproduce: `python -m pamela.steer.language_model.train --steps {recipe["steps"]}`

It was trained on simulated searches alone: original prompts drawn from the vocabulary, rewards that
are planted utilities with noise, and as good answers the prompts of Thompson sampling, each the
best under weights drawn from what the trials so far tell. No picture, prompt or person of the
embedded dataset has a part in it.

## What it answers

{found.answers} questions of held-out searches after 0 to 3 rounds, the {CONTEXT} best so far in the
context, {VARIANTS} prompts asked for at temperature {TEMPERATURE:g}, top-p {TOP_P:g}; every answer
as it came, nothing asked again. Prompts differ when they say another attribute or lighting: other
words for the same count as equal.

| share of | value |
|---|---:|
| answers that parse | {found.parsed:.3f} |
| answers with exactly the number asked for | {found.counted:.3f} |
| prompts that keep subject, type, group and style | {found.keep_subject:.3f} |
| prompts that differ from the others of the answer | {found.differ_from_each_other:.3f} |
| prompts that differ from all that was tried | {found.differ_from_context:.3f} |

Perplexity on held-out good answers {figures.perplexity:.2f} per token (untrained
{figures.perplexity_untrained:.0f}). A prompt says {found.aspects_said:.1f} attributes or lightings
in the mean. In batches, {found.tokens_per_second:.0f} tokens per CPU second and
{found.seconds_for_20:.2f} CPU seconds for {VARIANTS} prompts.
{steering(figures.reached)}"""


def steering(reached: Mapping[str, Reached]) -> str:
    """Return the section on what searches reach; none where nothing was compared."""
    if not reached:
        return ""
    searches = len(next(iter(reached.values())).share)
    return f"""
## How far it steers

{searches} held-out searches of {ROUNDS} rounds of {VARIANTS} prompts, the same for all: the utility
of the prompt with the highest reward, as a share of the way from the original to the best that can
be said. Thompson sampling knows the form of the utilities and the noise; it is what the language
model was taught by.

{reached_table(reached)}
"""


def reached_table(reached: Mapping[str, Reached]) -> str:
    """Return what rewriters reach as a Markdown table."""
    rounds = [f"round {number}" for number in range(1, ROUNDS + 1)]
    rows = [
        "| rewriter | " + " | ".join(rounds) + " | 95 % interval |",
        "|---|" + "---:|" * (ROUNDS + 1),
    ]
    for name, found in reached.items():
        cells = " | ".join(f"{value:.2f}" for value in found.share.mean(0))
        rows.append(f"| {name} | {cells} | ±{found.half_width:.2f} |")
    return "\n".join(rows)
