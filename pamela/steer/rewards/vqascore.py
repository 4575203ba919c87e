"""VQAScore (Lin et al., 2024): the probability that a model says a picture shows its prompt."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image as PillowImage

from pamela.core.arrays import Floats
from pamela.core.errors import PamelaError, require
from pamela.features.encoders.base import resolve_device
from pamela.steer.generators.base import Image
from pamela.steer.model_folders import first_line, identity, model_folder

KEY: Final = "steer.rewards"
QUESTION: Final = 'Does this figure show "{prompt}"? Please answer yes or no.'
YES: Final = ("Yes", "yes", " Yes", " yes")  # their tokens' probabilities are added up
# What a model is made of; weights as safetensors alone, never pickles.
FILES: Final = ("*.json", "*.safetensors", "*.jinja", "*.txt", "*.model")


class VqaScorer:
    """Asks an image-text model of transformers about each picture.

    Parameters
    ----------
    name : a folder, or the id of a repository on Hugging Face.
    device : auto, cpu or gpu.
    batch_size : pictures asked about at once; a score does not depend on it (to about 1e-5).
    """

    def __init__(self, name: str, device: str = "auto", batch_size: int = 8) -> None:
        self._name = name
        self._device = device
        self._batch_size = batch_size

    @property
    def fingerprint(self) -> str:
        """The model's commit or content, and the question."""
        return f"vqascore:{identity(self._name, self._folder)}:{QUESTION}"

    def score_pictures(self, images: Sequence[Image], prompts: Sequence[str]) -> Floats:
        """Return the probability of "yes" of picture i for prompt i; array (n,)."""
        scores: list[float] = []
        for begin in range(0, len(images), self._batch_size):
            batch = slice(begin, begin + self._batch_size)
            scores += self._ask(images[batch], prompts[batch])
        return np.array(scores, np.float64)

    def close(self) -> None:
        """Give the model's memory back."""
        self.__dict__.pop("_loaded", None)

    @cached_property
    def _folder(self) -> Path:
        return model_folder(KEY, self._name, _download)

    @cached_property
    def _loaded(self) -> tuple[Any, Any, list[int]]:
        """The processor, the model, and the tokens that mean yes."""
        require("transformers", f"steer: reward 'vqascore:{self._name}'")
        from transformers import AutoModelForImageTextToText, AutoProcessor

        device = resolve_device(self._device)
        try:
            processor = AutoProcessor.from_pretrained(self._folder)
            model = AutoModelForImageTextToText.from_pretrained(
                self._folder,
                dtype="auto" if device == "cuda" else "float32",
                use_safetensors=True,
            )
        except Exception as error:  # what a broken folder raises is no closed list
            raise PamelaError(
                f"params.yaml: {KEY}: 'vqascore:{self._name}' does not load as an image-text "
                f"model: {first_line(error)}"
            ) from None
        tokenizer = processor.tokenizer
        tokenizer.padding_side = "left"
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        return processor, model.to(device).eval(), self._yes(tokenizer)

    def _yes(self, tokenizer: Any) -> list[int]:
        found = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in YES]
        tokens = {ids[0] for ids in found if len(ids) == 1 and ids[0] != tokenizer.unk_token_id}
        if not tokens:
            raise PamelaError(
                f"params.yaml: {KEY}: 'vqascore:{self._name}': its tokenizer has no token for "
                "'yes'; name another model"
            )
        return sorted(tokens)

    def _ask(self, images: Sequence[Image], prompts: Sequence[str]) -> list[float]:
        import torch

        processor, model, yes = self._loaded
        pictures = [PillowImage.fromarray(image) for image in images]
        try:
            inputs = _inputs(processor, pictures, [QUESTION.format(prompt=p) for p in prompts])
            with torch.inference_mode():
                # `generate` gives padded rows their own positions, `forward` does not
                answer = model.generate(
                    **inputs.to(model.device, model.dtype),
                    max_new_tokens=1,
                    do_sample=False,
                    output_logits=True,
                    return_dict_in_generate=True,
                )
        except Exception as error:  # a processor that wants the picture's place said otherwise
            raise PamelaError(
                f"steer: reward 'vqascore:{self._name}': the model cannot be asked: "
                f"{first_line(error)}"
            ) from None
        probability = torch.softmax(answer.logits[0].float(), dim=-1)[:, yes].sum(dim=-1)
        scores: list[float] = probability.cpu().tolist()
        return scores


def _inputs(processor: Any, pictures: Sequence[PillowImage.Image], questions: Sequence[str]) -> Any:
    """Return the model's inputs: its chat template, or the bare question where it has none."""
    if not getattr(processor, "chat_template", None):
        return processor(
            images=list(pictures), text=list(questions), return_tensors="pt", padding=True
        )
    chats = [
        [
            {
                "role": "user",
                "content": [{"type": "image", "image": picture}, {"type": "text", "text": words}],
            }
        ]
        for picture, words in zip(pictures, questions, strict=True)
    ]
    return processor.apply_chat_template(
        chats,
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        sanitize_control_tokens=True,  # "<image>" in a prompt is words
        processor_kwargs={"padding": True, "return_tensors": "pt"},
    )


def _download(name: str) -> str:
    from huggingface_hub import snapshot_download

    return snapshot_download(name, allow_patterns=list(FILES))
