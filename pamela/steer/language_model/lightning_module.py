"""Training of the language model: batches of simulated conversations, loss, optimisers."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, cast

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import IterableDataset

from pamela.steer.language_model.searches import Example, simulate
from pamela.steer.language_model.tokenizer import END

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

POOL: Final = 512  # examples that are sorted by length together, so that batches pad little
QUESTION_WEIGHT: Final = 0.3  # of the loss of its tokens: prompts of one search are alike
WIDTH: Final = 32  # few widths: kernels are made for each
WARM_UP: Final = 30  # steps; then the rate stays, and weights are averaged over the last steps
AVERAGED: Final = 0.98  # decay of the exponential average of the weights
CLIPPED_NORM: Final = 1.0
ATTENTION: Final = "sdpa_float32"


@dataclass(frozen=True)
class Recipe:
    """What decides the weights, with the code."""

    seed: int
    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    hidden: int
    layers: int
    heads: int


@dataclass(frozen=True)
class TokenBatch:
    """Conversations, padded at the right: ids, and where the answers are."""

    ids: Tensor
    known: Tensor  # not padding
    answer: Tensor


def conversation(example: Example, tokenizer: PreTrainedTokenizerFast) -> tuple[list[int], int]:
    """Return the ids of a conversation with its answer, and where the answer begins."""
    question = tokenizer.apply_chat_template(
        example.messages, tokenize=False, add_generation_prompt=True
    )
    asked = tokenizer(question, add_special_tokens=False)["input_ids"]
    answer = tokenizer(example.answer + END, add_special_tokens=False)["input_ids"]
    return [*asked, *answer], len(asked)


def padded(rows: list[tuple[list[int], int]], pad: int) -> TokenBatch:
    """Return conversations as one batch, as wide as a multiple of `WIDTH`."""
    width = -(-max(len(ids) for ids, _ in rows) // WIDTH) * WIDTH
    ids = torch.tensor([[*found, *[pad] * (width - len(found))] for found, _ in rows])
    place = torch.arange(width)
    known = place < torch.tensor([[len(found)] for found, _ in rows])
    return TokenBatch(ids, known, known & (place >= torch.tensor([[begin] for _, begin in rows])))


class ConversationBatches(IterableDataset[TokenBatch]):
    """Batches of fresh simulated conversations, without end."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, recipe: Recipe) -> None:
        self.tokenizer, self.recipe = tokenizer, recipe

    def __iter__(self) -> Iterator[TokenBatch]:
        examples = simulate(self.recipe.seed)
        shuffler = random.Random(self.recipe.seed)  # noqa: S311
        size = self.recipe.batch_size
        while True:
            pool = [conversation(one, self.tokenizer) for one in islice(examples, POOL)]
            pool.sort(key=lambda row: len(row[0]))
            batches = [pool[i : i + size] for i in range(0, POOL - size + 1, size)]
            shuffler.shuffle(batches)
            for rows in batches:
                yield padded(rows, self.tokenizer.pad_token_id)


def new_model(tokenizer: PreTrainedTokenizerFast, recipe: Recipe) -> LlamaForCausalLM:
    """Return an untrained model for `tokenizer`."""
    from transformers import AttentionInterface, LlamaConfig, LlamaForCausalLM

    AttentionInterface.register(ATTENTION, _attention_in_float32)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden,
        intermediate_size=16 * round(recipe.hidden * 8 / 3 / 16),
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(recipe.seed)
    model = LlamaForCausalLM(config)
    model.set_attn_implementation(ATTENTION)
    return model


def _attention_in_float32(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *_: Any, **words: Any
) -> tuple[Tensor, None]:
    """Causal attention in single precision: on CPUs its bfloat16 gradient is several times slower.

    Padding stands at the right, where no token before it looks.
    """
    with torch.autocast(query.device.type, enabled=False):
        found = nn.functional.scaled_dot_product_attention(
            query.float(), key.float(), value.float(), is_causal=True, scale=words.get("scaling")
        )
    return found.transpose(1, 2), None


class LanguageModelTraining(L.LightningModule):
    """A causal language model and its two optimisers: Muon for matrices, AdamW for the rest."""

    def __init__(self, model: LlamaForCausalLM, recipe: Recipe) -> None:
        super().__init__()
        self.model, self.recipe = model, recipe
        self.automatic_optimization = False
        self.averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(AVERAGED))

    def transfer_batch_to_device(
        self, batch: TokenBatch, device: torch.device, dataloader_idx: int
    ) -> TokenBatch:
        """Move a batch (Lightning does not know the class)."""
        return TokenBatch(batch.ids.to(device), batch.known.to(device), batch.answer.to(device))

    def training_step(self, batch: TokenBatch, batch_idx: int) -> None:
        """Take one step of both optimisers."""
        with torch.autocast(self.device.type, torch.bfloat16):
            losses = token_losses(self.model, batch)
        answer = batch.answer[:, 1:].float()
        weight = answer + QUESTION_WEIGHT * (batch.known[:, 1:].float() - answer)
        self.manual_backward((losses * weight).sum() / weight.sum())
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIPPED_NORM)
        for optimizer in cast(list[Any], self.optimizers()):
            optimizer.step()
            optimizer.zero_grad()
        for schedule in cast(list[Any], self.lr_schedulers()):
            schedule.step()
        self.averaged.update_parameters(self.model)
        self.log("loss", (losses.detach() * answer).sum() / answer.sum())

    def configure_optimizers(self) -> Any:
        """Warm-up, then one rate: more steps continue where fewer end."""
        matrices = [p for p in self.model.model.layers.parameters() if p.ndim == 2]
        others = [p for p in self.model.parameters() if all(p is not one for one in matrices)]
        rate, decay = self.recipe.learning_rate, self.recipe.weight_decay
        optimizers = [
            torch.optim.Muon(matrices, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, lr=rate, weight_decay=0.0, betas=(0.9, 0.98)),
        ]
        return optimizers, [
            torch.optim.lr_scheduler.LambdaLR(one, lambda step: min(1.0, (step + 1) / WARM_UP))
            for one in optimizers
        ]


def token_losses(model: LlamaForCausalLM, batch: TokenBatch) -> Tensor:
    """Return the cross entropy of every token but the first, (n, length - 1)."""
    hidden = model.model(input_ids=batch.ids).last_hidden_state[:, :-1]
    logits = model.lm_head(hidden).float()
    flat = nn.functional.cross_entropy(
        logits.flatten(0, 1), batch.ids[:, 1:].flatten(), reduction="none"
    )
    return flat.view(batch.ids.shape[0], -1)
