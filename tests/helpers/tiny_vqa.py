"""Image-text models of a few thousand random weights; they need the extra `steer`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

WORDS = [
    "ASSISTANT", "Yes", "No", "yes", "no", "Does", "this", "figure", "show", "a", "an", "red",
    "blue", "barn", "dog", "in", "the", "snow", "at", "dusk", "Please", "answer", "or", "image",
    "<", ">", '"', ".", ",", ":", "?",
]  # fmt: skip
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]
IMAGE = "<image>"
TEMPLATE = (
    "<s>{% for m in messages %}{% for c in m.content %}"
    "{% if c.type == 'image' %}<image>{% else %}{{ c.text }}{% endif %}"
    "{% endfor %}{% endfor %} ASSISTANT :"
)
SIDE, PATCH = 32, 8
VISION = {
    "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "image_size": SIDE, "patch_size": PATCH, "projection_dim": 16,
}  # fmt: skip
TEXT = {
    "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "max_position_embeddings": 256,
}  # fmt: skip


def save_llava(folder: Path, *, words: list[str] = WORDS) -> Path:
    """Save a Llava with a chat template."""
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    tokenizer = _tokenizer(words, additional_special_tokens=[IMAGE])
    processor = LlavaProcessor(
        image_processor=_image_processor(),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        image_token=IMAGE,
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**VISION),
        text_config=LlamaConfig(vocab_size=len(tokenizer), **TEXT),
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
    )
    return _save(LlavaForConditionalGeneration, config, processor, folder)


def save_blip(folder: Path) -> Path:
    """Save a BLIP, which has no chat template."""
    from transformers import BlipConfig, BlipForConditionalGeneration, BlipProcessor

    tokenizer = _tokenizer(WORDS)
    text = TEXT | {"vocab_size": len(tokenizer), "encoder_hidden_size": 32}
    text |= {"bos_token_id": 1, "sep_token_id": 2, "eos_token_id": 2, "pad_token_id": 0}
    config = BlipConfig(text_config=text, vision_config=VISION, image_text_hidden_size=16)
    processor = BlipProcessor(_image_processor(), tokenizer)
    return _save(BlipForConditionalGeneration, config, processor, folder)


def _save(model_class: Any, config: Any, processor: Any, folder: Path) -> Path:
    torch.manual_seed(0)
    model = model_class(config)
    with torch.no_grad():  # answers that differ from picture to picture
        for weights in model.parameters():
            if weights.ndim > 1:
                weights.mul_(6.0)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _image_processor() -> Any:
    from transformers import CLIPImageProcessor

    size = {"height": SIDE, "width": SIDE}
    return CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=size)


def _tokenizer(words: list[str], **special: Any) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate([*SPECIAL, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=SPECIAL[-1]))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]
    )
    names = dict(zip(("pad_token", "bos_token", "eos_token", "unk_token"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names, **special)
