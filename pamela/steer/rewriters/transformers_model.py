"""The rewriter `transformers:<folder or id>`: a causal language model in this process."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

import torch
from huggingface_hub import snapshot_download
from jinja2 import TemplateError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from pamela.core.errors import PamelaError
from pamela.features.encoders.base import resolve_device
from pamela.params import LanguageModelParams
from pamela.steer.model_folders import first_line, identity, model_folder
from pamela.steer.rewriters.base import RewriteRequest
from pamela.steer.rewriters.dialogue import Dialogue, Question
from pamela.steer.rewriters.protocol import Keeps, Message

KEY: Final = "steer.rewriter"
# What a language model is made of; weights as safetensors alone, never pickles.
FILES: Final = ("*.json", "*.safetensors", "*.jinja", "*.txt", "*.model")
_LEAST_ANSWER: Final = 32  # tokens; a context with less room for an answer is too short


class SeededSampling(LogitsProcessor):
    """Makes the most likely token a random draw, of each row by its own random numbers.

    The largest of scores plus Gumbel noise is a draw from their softmax. `generate` itself draws
    all rows from one stream, so that an answer would depend on the others of its batch.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self._streams = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores with noise."""
        size = scores.shape[1]
        uniform = torch.stack([torch.rand(size, generator=one) for one in self._streams])
        noise = -torch.log(-torch.log(uniform.clamp(1e-20, 1 - 1e-7)))
        return scores.float() + noise.to(scores.device)


class TransformersRewriter:
    """Loads the model with the first request; weights are safetensors, code is never downloaded."""

    def __init__(self, name: str, settings: LanguageModelParams, keeps: Keeps) -> None:
        self.name, self.settings = name, settings
        self._dialogue = Dialogue(f"transformers:{name}", settings, keeps)
        self._loaded: tuple[Any, Any] | None = None

    @property
    def fingerprint(self) -> str:
        """The model's commit or content, and how it is asked."""
        asked = self.settings
        return (
            f"transformers:{identity(self.name, self._folder)}:{asked.dtype}:{asked.temperature}:"
            f"{asked.top_p}:{asked.max_tokens}:{asked.context_trials}:{asked.variants_per_answer}"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._loaded = None
        self._dialogue.report()

    def rewrite(self, requests: Sequence[RewriteRequest]) -> list[list[str]]:
        """Return the variants of each request; equal requests get equal answers."""
        return self._dialogue.rewrite(requests, self._ask)

    @cached_property
    def _folder(self) -> Path:
        return model_folder(KEY, self.name, _download)

    def _ask(self, questions: Sequence[Question]) -> list[str]:
        if self._loaded is None:
            self._loaded = self._load()
        tokenizer, model = self._loaded
        texts = [chat_text(tokenizer, question.messages) for question in questions]
        # alike lengths side by side: less padding
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        answers = [""] * len(texts)
        size = self.settings.batch_size
        for begin in range(0, len(order), size):
            batch = order[begin : begin + size]
            found = self._generate(
                tokenizer, model, [texts[i] for i in batch], [questions[i].seed for i in batch]
            )
            for i, answer in zip(batch, found, strict=True):
                answers[i] = answer
        return answers

    def _load(self) -> tuple[Any, Any]:
        device = resolve_device(self.settings.device)
        try:
            # said, as the default asks the person at the terminal
            local = {"trust_remote_code": False}
            tokenizer = AutoTokenizer.from_pretrained(self._folder, padding_side="left", **local)
            model = AutoModelForCausalLM.from_pretrained(
                self._folder, dtype=self.settings.dtype, use_safetensors=True, **local
            )
        except Exception as error:  # what a broken folder raises is no closed list
            raise PamelaError(
                f"params.yaml: {KEY}: {self.name!r} does not load as a language model: "
                f"{first_line(error)}"
            ) from None
        if tokenizer.chat_template is None:
            raise PamelaError(
                f"params.yaml: {KEY}: {self.name!r} has no chat template (chat_template.jinja): "
                "name a model that is trained to follow instructions"
            )
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        return tokenizer, model.to(device).eval()

    def _generate(
        self, tokenizer: Any, model: Any, texts: Sequence[str], seeds: Sequence[int]
    ) -> list[str]:
        # the template wrote the special tokens
        inputs = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        length = inputs["input_ids"].shape[1]
        room = _context_length(model) - length
        if room < _LEAST_ANSWER:
            raise PamelaError(
                f"steer: transformers:{self.name}: a request of {length} tokens leaves no room for "
                f"an answer in a context of {length + room}: lower steer.language_model."
                "context_trials"
            )
        config = GenerationConfig(
            do_sample=False,  # `SeededSampling` draws
            max_new_tokens=min(self.settings.max_tokens, room),
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=model.generation_config.eos_token_id or tokenizer.eos_token_id,
        )
        with torch.inference_mode():
            tokens = model.generate(
                **inputs.to(model.device),
                generation_config=config,
                logits_processor=self._sampling(seeds),
            )
        found: list[str] = tokenizer.batch_decode(tokens[:, length:], skip_special_tokens=True)
        return found

    def _sampling(self, seeds: Sequence[int]) -> LogitsProcessorList:
        asked = self.settings
        if asked.temperature == 0.0:
            return LogitsProcessorList()
        steps: list[LogitsProcessor] = [TemperatureLogitsWarper(asked.temperature)]
        if asked.top_p < 1.0:
            steps.append(TopPLogitsWarper(asked.top_p))
        return LogitsProcessorList([*steps, SeededSampling(seeds)])


def chat_text(tokenizer: Any, messages: Sequence[Message]) -> str:
    """Return a conversation in the model's own chat template.

    Templates that know no system message (Gemma's and others raise) get it with the user's.
    """
    words = {"tokenize": False, "add_generation_prompt": True}
    try:
        text: str = tokenizer.apply_chat_template(list(messages), **words)
    except TemplateError:
        joined = "\n\n".join(message["content"] for message in messages)
        text = tokenizer.apply_chat_template([{"role": "user", "content": joined}], **words)
    return text


def _download(name: str) -> str:
    return snapshot_download(name, allow_patterns=list(FILES))


def _context_length(model: Any) -> int:
    config = model.config.get_text_config()
    return int(getattr(config, "max_position_embeddings", None) or 2**20)
