"""Real models of a few thousand weights, made on the spot: a language model, diffusion pipelines.

They need the extra `steer`; every import of it is inside the functions.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch

from pamela.steer.rewriters.base import RewriteRequest
from pamela.steer.rewriters.protocol import messages, write_answer

SUBJECT = "a red barn at dusk"
LOOKS = (
    "warm light", "soft light", "hard light", "low angle", "from above", "close up", "wide view",
    "muted palette", "vivid palette", "thick fog", "clear sky", "long shadows",
)  # fmt: skip
SIZE = 32  # pixels a side of what the pipelines draw
TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'user' %}<s>{{ m.content }}</s>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<s>{% endif %}"
)


def request(n: int = 4, seed: int = 0, prompt: str = SUBJECT) -> RewriteRequest:
    """Return a request for `n` variants of the subject that the language model knows."""
    return RewriteRequest(prompt, (), n, (seed,))


def save_language_model(folder: Path, *, steps: int = 100) -> Path:
    """Save a Llama of 60,000 weights that has learned to answer by the protocol."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _byte_pairs(answer_of(random.Random(i)) for i in range(200))
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=48, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=1024,
        bos_token_id=None, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    _teach(model, tokenizer, steps)
    model.generation_config.do_sample = True  # `transformers serve` draws only then
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def answer_of(chance: random.Random) -> str:
    """Return an answer of four variants of the subject."""
    return write_answer(f"{SUBJECT}, {look}" for look in chance.sample(LOOKS, 4))


def _byte_pairs(texts: Any) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=["<pad>", "<s>", "</s>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def _teach(model: Any, tokenizer: Any, steps: int) -> None:
    """Fit answers to the question for four variants; only the answer counts in the loss."""
    chance = random.Random(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    question = tokenizer.apply_chat_template(
        messages(request(), 4, 10), tokenize=False, add_generation_prompt=True
    )
    before = len(tokenizer(question, add_special_tokens=False)["input_ids"])
    for _ in range(steps):
        texts = [question + answer_of(chance) + "</s>" for _ in range(16)]
        batch = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        labels[:, :before] = -100
        model(**batch, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval()


def save_stable_diffusion(folder: Path, **parts: Any) -> Path:
    """Save a Stable Diffusion pipeline of random weights; `parts` replace its own."""
    import diffusers

    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(4, 8), layers_per_block=1, sample_size=16, in_channels=4,
        out_channels=4, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=16,
        norm_num_groups=2, attention_head_dim=2,
    )  # fmt: skip
    vae = diffusers.AutoencoderKL(
        block_out_channels=(4, 8), in_channels=3, out_channels=3, latent_channels=4,
        norm_num_groups=2, down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    scheduler = diffusers.DDIMScheduler(steps_offset=1, clip_sample=False)
    pipeline = diffusers.StableDiffusionPipeline(
        unet=unet, vae=vae, text_encoder=_clip_text(), tokenizer=_clip_tokenizer(folder),
        scheduler=scheduler, requires_safety_checker=False,
        **({"safety_checker": None, "feature_extractor": None} | parts),
    )  # fmt: skip
    pipeline.save_pretrained(folder)
    return folder


def blackening_parts() -> dict[str, Any]:
    """Return a real safety checker, which finds fault with every picture, and its preprocessing."""
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    side = {"crop_size": {"height": SIZE, "width": SIZE}, "size": {"shortest_edge": SIZE}}
    small = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
             "num_attention_heads": 2}  # fmt: skip
    vision = small | {"image_size": SIZE, "patch_size": SIZE // 2}
    checker = StableDiffusionSafetyChecker(
        CLIPConfig(text_config=small, vision_config=vision, projection_dim=8)
    )
    checker.concept_embeds_weights.data.fill_(-2.0)  # below every cosine
    return {"safety_checker": checker, "feature_extractor": CLIPImageProcessor(**side)}


def _clip_text() -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        hidden_size=16, intermediate_size=16, num_attention_heads=2, num_hidden_layers=1,
        vocab_size=600, max_position_embeddings=77, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    return CLIPTextModel(config)


def _clip_tokenizer(folder: Path) -> Any:
    """Return CLIP's tokenizer with letters for words."""
    import json

    from tokenizers import pre_tokenizers
    from transformers import CLIPTokenizer

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(one + "</w>" for one in letters)]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    vocabulary.write_text(json.dumps({word: number for number, word in enumerate(words)}))
    merges.write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(vocabulary), str(merges), model_max_length=77)
    vocabulary.unlink()
    merges.unlink()
    return tokenizer


def save_flux2_klein(folder: Path) -> Path:
    """Save a FLUX.2 [klein] pipeline of random weights."""
    import diffusers
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    transformer = diffusers.Flux2Transformer2DModel(
        patch_size=1, in_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=48, timestep_guidance_channels=256,
        axes_dims_rope=[4, 4, 4, 4], guidance_embeds=False,
    )  # fmt: skip
    vae = diffusers.AutoencoderKLFlux2(
        sample_size=32, block_out_channels=(4,), layers_per_block=1, latent_channels=1,
        norm_num_groups=1, use_quant_conv=False, use_post_quant_conv=False,
        down_block_types=("DownEncoderBlock2D",), up_block_types=("UpDecoderBlock2D",),
    )  # fmt: skip
    tokenizer = _byte_pairs(LOOKS)
    tokenizer.chat_template = TEMPLATE
    text = Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=28,
        num_attention_heads=2, num_key_value_heads=2, head_dim=8, max_position_embeddings=1024,
    )  # fmt: skip
    pipeline = diffusers.Flux2KleinPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(), vae=vae,
        text_encoder=Qwen3ForCausalLM(text), tokenizer=tokenizer, transformer=transformer,
    )  # fmt: skip
    pipeline.save_pretrained(folder)
    return folder
