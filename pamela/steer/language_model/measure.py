"""What the language model answers, measured on searches that training never saw."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from pamela.core.errors import PamelaError
from pamela.steer.language_model import planted
from pamela.steer.language_model.lightning_module import conversation, padded, token_losses
from pamela.steer.language_model.searches import VARIANTS, Example, PlantedSearch, simulate
from pamela.steer.rewriters.base import RewriteRequest
from pamela.steer.rewriters.protocol import AnswerError, Message, messages, read_answer
from pamela.synthetic.prompts import Spec, parse_prompt

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

HELD_OUT_SEED: Final = 1_000_003
CONTEXT: Final = 10
TEMPERATURE, TOP_P = 1.0, 0.95  # as params.yaml has them
LONGEST: Final = 600  # tokens of an answer
PERPLEXITY_EXAMPLES: Final = 120
BATCH: Final = 16


@dataclass(frozen=True)
class AnswerFigures:
    """Shares of answers and of the prompts in them, and the speed.

    Attributes
    ----------
    parsed, counted : of answers: that hold prompts, that hold exactly as many as asked.
    valid : of prompts: with the original's subject, type, group and style.
    alike : of prompts: that say what another of the same answer says, or what the context says.
    """

    answers: int
    parsed: float
    counted: float
    prompts: int
    keep_subject: float
    differ_from_each_other: float
    differ_from_context: float
    aspects_said: float
    tokens_per_second: float
    seconds_for_20: float


def answer(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    conversations: Sequence[Sequence[Message]],
    seed: int,
) -> tuple[list[str], int]:
    """Return an answer to each conversation, and how many tokens they have in all."""
    torch.manual_seed(seed)
    found: list[str] = []
    tokens = 0
    for begin in range(0, len(conversations), BATCH):
        texts = [
            tokenizer.apply_chat_template(list(one), tokenize=False, add_generation_prompt=True)
            for one in conversations[begin : begin + BATCH]
        ]
        asked = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        with torch.inference_mode():
            ids = model.generate(
                **asked.to(model.device),
                do_sample=True,
                temperature=TEMPERATURE,
                top_p=TOP_P,
                top_k=0,
                max_new_tokens=LONGEST,
            )
        written = ids[:, asked["input_ids"].shape[1] :]
        tokens += int((written != tokenizer.pad_token_id).sum())
        found += tokenizer.batch_decode(written, skip_special_tokens=True)
    return found, tokens


def held_out_searches(n: int) -> list[PlantedSearch]:
    """Return planted searches of seeds that training never uses, each after 0 to 3 rounds."""
    searches = []
    for number in range(n):
        rng = np.random.default_rng([HELD_OUT_SEED, number])
        search = PlantedSearch.start(rng)
        for _ in range(number % 4):
            search.try_(*search.propose(VARIANTS, rng), rng)
        searches.append(search)
    return searches


def answer_figures(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, searches: Sequence[PlantedSearch]
) -> AnswerFigures:
    """Ask for a round of variants in each search, and measure the answers."""
    requests = [
        RewriteRequest(one.prompts[0], one.history(0.2, 3.0), VARIANTS, (0,)) for one in searches
    ]
    asked = [messages(request, VARIANTS, CONTEXT) for request in requests]
    begin = time.process_time()
    texts, tokens = answer(model, tokenizer, asked, HELD_OUT_SEED)
    seconds = time.process_time() - begin
    parsed = [_prompts(text) for text in texts]
    kept, apart, fresh, said = [], [], [], []
    for search, prompts in zip(searches, parsed, strict=True):
        original = parse_prompt(search.prompts[0])
        seen = {look.tobytes() for look in search.looks}
        mine: set[bytes] = set()
        for prompt in prompts:
            spec = _spec(prompt)
            kept.append(spec is not None and _subject(spec) == _subject(original))
            look = planted.look_of(spec) if spec is not None else np.zeros(0)
            apart.append(look.tobytes() not in mine)
            fresh.append(look.tobytes() not in seen)
            said.append(int((look != planted.UNSAID).sum()))
            mine.add(look.tobytes())
    return AnswerFigures(
        answers=len(texts),
        parsed=float(np.mean([len(one) > 0 for one in parsed])),
        counted=float(np.mean([len(one) == VARIANTS for one in parsed])),
        prompts=len(kept),
        keep_subject=_share(kept),
        differ_from_each_other=_share(apart),
        differ_from_context=_share(fresh),
        aspects_said=_share(said),
        tokens_per_second=tokens / seconds,
        seconds_for_20=seconds / max(1, len(kept)) * VARIANTS,
    )


def _share(found: Sequence[float]) -> float:
    return float(np.mean(found)) if found else 0.0


def _prompts(text: str) -> list[str]:
    try:
        return read_answer(text)
    except AnswerError:
        return []


def _spec(prompt: str) -> Spec | None:
    try:
        return parse_prompt(prompt)
    except PamelaError:
        return None


def _subject(spec: Spec) -> tuple[str | None, ...]:
    return spec.type, spec.group, spec.subject, spec.style


def perplexity(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> float:
    """Return the perplexity per token of good answers in searches that training never saw."""
    examples: list[Example] = list(islice(simulate(HELD_OUT_SEED), PERPLEXITY_EXAMPLES))
    rows = sorted((conversation(one, tokenizer) for one in examples), key=lambda row: len(row[0]))
    total = count = 0.0
    with torch.inference_mode():
        for begin in range(0, len(rows), BATCH):
            batch = padded(rows[begin : begin + BATCH], tokenizer.pad_token_id)
            wanted = batch.answer[:, 1:]
            total += float(token_losses(model, batch)[wanted].sum())
            count += float(wanted.sum())
    return math.exp(total / count)
