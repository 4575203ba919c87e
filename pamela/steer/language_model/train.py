"""Train the language model of the embedded world.

Run: ``python -m pamela.steer.language_model.train`` (`make language-model`).

Simulates searches with planted utilities, trains on them (GPU if there is one), measures the result
on fresh ones and writes a complete transformers folder with CARD.md beside this module.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import lightning as L
import torch
import typer
from lightning.pytorch.callbacks import Callback
from torch.utils.data import DataLoader

from pamela.core.files import atomic_folder, folder_sha256
from pamela.params import LanguageModelParams
from pamela.steer.language_model.card import Figures, card
from pamela.steer.language_model.comparison import compare
from pamela.steer.language_model.lightning_module import (
    ConversationBatches,
    LanguageModelTraining,
    Recipe,
    new_model,
)
from pamela.steer.language_model.measure import (
    CONTEXT,
    LONGEST,
    TEMPERATURE,
    TOP_P,
    answer_figures,
    held_out_searches,
    perplexity,
)
from pamela.steer.language_model.searches import VARIANTS, simulate
from pamela.steer.language_model.tokenizer import build_tokenizer
from pamela.steer.rewriters.base import Rewriter
from pamela.steer.rewriters.factory import SHIPPED_FOLDER
from pamela.steer.rewriters.subjects import keeps_world_subject
from pamela.steer.rewriters.vocabulary import VocabularyRewriter

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

CARD: Final = "CARD.md"
WEIGHTS: Final = "model.safetensors"
TOKENIZER_EXAMPLES: Final = 400
REPORT_STEPS: Final = 100


class Progress(Callback):
    """Says now and then where training stands."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.sum = 0.0

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Print the mean loss of the last steps."""
        self.sum += float(trainer.callback_metrics["loss"])
        if (batch_idx + 1) % REPORT_STEPS == 0:
            spent = time.monotonic() - self.start
            loss = self.sum / REPORT_STEPS
            print(f"step {batch_idx + 1}, {spent:.0f} s: loss {loss:.3f}", flush=True)
            self.sum = 0.0


def fit_model(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, recipe: Recipe) -> None:
    """Train `model` in place."""
    loader = DataLoader(ConversationBatches(tokenizer, recipe), batch_size=None, num_workers=1)
    trainer = L.Trainer(
        accelerator="auto",
        devices=1,
        max_epochs=1,
        limit_train_batches=recipe.steps,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Progress()],
    )
    training = LanguageModelTraining(model, recipe)
    trainer.fit(training, loader, weights_only=True)
    model.load_state_dict(training.averaged.module.state_dict())
    model.eval()


def world_tokenizer(seed: int) -> PreTrainedTokenizerFast:
    """Return a tokenizer built from simulated conversations."""
    examples = islice(simulate(seed), TOKENIZER_EXAMPLES)
    return build_tokenizer(
        text for one in examples for text in (one.messages[-1]["content"], one.answer)
    )


def save_model(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write a complete transformers folder: half precision weights that load in single precision.

    Its generation settings are those of params.yaml: servers draw by them unless told otherwise.
    """
    asked = model.generation_config
    asked.do_sample, asked.temperature, asked.top_p, asked.top_k = True, TEMPERATURE, TOP_P, 0
    model.to(torch.float16).save_pretrained(folder)
    model.to(torch.float32).config.dtype = torch.float32
    model.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def train_language_model(
    recipe: Recipe, folder: Path, *, searches: int, questions: int
) -> tuple[Figures, Mapping[str, object]]:
    """Train, write the transformers folder, measure what was written; return figures and size."""
    tokenizer = world_tokenizer(recipe.seed)
    model = new_model(tokenizer, recipe)
    untrained = perplexity(model, tokenizer)
    begin, spent = time.monotonic(), time.process_time()
    fit_model(model, tokenizer, recipe)
    minutes = [(time.monotonic() - begin) / 60, (time.process_time() - spent) / 60]
    with atomic_folder(folder) as aside:
        save_model(model, tokenizer, aside)
    figures = measure(folder, untrained, searches, questions)
    size = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "weights": f"{(folder / WEIGHTS).stat().st_size / 1e6:.1f} MB (half precision)",
        "tokens": f"{len(tokenizer)}, a context of {model.config.max_position_embeddings}",
        "trained": f"{recipe.steps * recipe.batch_size} conversations in {minutes[0]:.0f} minutes, "
        f"{minutes[1]:.0f} of a CPU's time",
    }
    return figures, size


def measure(folder: Path, untrained: float, searches: int, questions: int) -> Figures:
    """Return the figures of the language model in `folder`."""
    from transformers import AutoTokenizer, LlamaForCausalLM

    from pamela.steer.rewriters.transformers_model import TransformersRewriter

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = LlamaForCausalLM.from_pretrained(folder, dtype="auto").eval()
    settings = LanguageModelParams(
        temperature=TEMPERATURE,
        top_p=TOP_P,
        max_tokens=LONGEST,
        context_trials=CONTEXT,
        variants_per_answer=VARIANTS,
        attempts=5,
        timeout_s=300.0,
        concurrent_requests=1,
        batch_size=16,
        device="auto",
        dtype="auto",
    )
    rewriters: dict[str, Rewriter | None] = {
        "`vocabulary`": VocabularyRewriter(),
        "`embedded`, this language model": TransformersRewriter(
            str(folder), settings, keeps_world_subject
        ),
        "Thompson sampling": None,
    }
    reached = compare(rewriters, searches) if searches else {}
    return Figures(
        answer_figures(model, tokenizer, held_out_searches(questions)),
        perplexity(model, tokenizer),
        untrained,
        reached,
    )


def main(
    steps: Annotated[int, typer.Option(help="of the optimisers")] = 3000,
    batch_size: Annotated[int, typer.Option(help="conversations per step")] = 8,
    learning_rate: Annotated[float, typer.Option(help="highest")] = 5e-3,
    weight_decay: Annotated[float, typer.Option(help="of matrices")] = 0.01,
    hidden: Annotated[int, typer.Option(help="width")] = 128,
    layers: Annotated[int, typer.Option(help="depth")] = 3,
    heads: Annotated[int, typer.Option(help="of attention")] = 4,
    seed: Annotated[int, typer.Option(help="of searches, weights and order")] = 15,
    threads: Annotated[int, typer.Option(help="of the CPU; another number, other last digits")] = 1,
    searches: Annotated[int, typer.Option(help="for the card: compared; 0: none")] = 60,
    questions: Annotated[int, typer.Option(help="for the card: answers that are looked at")] = 100,
    folder: Annotated[Path, typer.Option(help="where the files go")] = SHIPPED_FOLDER,
) -> None:
    """Train the language model, write its folder, and its card beside the folder."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the loader forks
    torch.set_num_threads(threads)
    recipe = Recipe(seed, steps, batch_size, learning_rate, weight_decay, hidden, layers, heads)
    L.seed_everything(seed, verbose=False)
    figures, size = train_language_model(recipe, folder, searches=searches, questions=questions)
    text = card(figures, folder_sha256(folder), asdict(recipe), size)
    (folder.parent / CARD).write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    typer.run(main)
