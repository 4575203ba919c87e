#!/usr/bin/env bash
# diffusers 0.42.1: Flux2KleinPipeline cuts prompts over 512 tokens without a word.
#
# Assumed: as Stable Diffusion, FLUX.1 and others do, the pipeline logs which part of a prompt its
# text encoder does not read. FLUX.2 [klein] tokenizes with truncation=True and logs nothing: two
# prompts that differ beyond the limit are one picture. The closing words of its chat template are
# cut off as well, so the text encoder sees a turn that does not end.
#
# Output seen on 2026-11-29:
#   lines logged: 0
#   prompts that differ from word 600 on give equal embeddings: True
#   the template's closing words are read: short prompt True, long prompt False
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check diffusers==0.42.1 transformers==5.24.0 torch==2.15.0
"$folder/venv/bin/python" - > "$folder/seen" 2> "$folder/log" <<'PY'
import logging

import torch
from diffusers import Flux2KleinPipeline
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

lines = []
handler = logging.Handler()
handler.emit = lines.append
for name in ("diffusers", "transformers"):
    logging.getLogger(name).addHandler(handler)

vocabulary = {"<pad>": 0, "barn": 1, "cat": 2, "dog": 3, "end": 4}
words = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
words.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>")
tokenizer.chat_template = "{% for m in messages %}{{ m.content }} end{% endfor %}"
seen = []
call = type(tokenizer).__call__
class Spy(type(tokenizer)):
    def __call__(self, *args, **words):
        found = call(self, *args, **words)
        seen.append(4 in found["input_ids"])
        return found
tokenizer.__class__ = Spy
torch.manual_seed(0)
encoder = Qwen3ForCausalLM(Qwen3Config(
    vocab_size=8, hidden_size=16, intermediate_size=16, num_hidden_layers=28,
    num_attention_heads=2, num_key_value_heads=2, head_dim=8,
)).eval()

def embed(prompt):
    with torch.inference_mode():
        return Flux2KleinPipeline._get_qwen3_prompt_embeds(encoder, tokenizer, prompt)

one, other, _ = (embed(text) for text in ("barn " * 600 + "cat", "barn " * 600 + "dog", "barn"))
print("lines logged:", len(lines))
print("prompts that differ from word 600 on give equal embeddings:", torch.equal(one, other))
print(f"the template's closing words are read: short prompt {seen[2]}, long prompt {seen[0]}")
PY
diff "$folder/seen" - <<'SEEN'
lines logged: 0
prompts that differ from word 600 on give equal embeddings: True
the template's closing words are read: short prompt True, long prompt False
SEEN
echo "as described: Flux2KleinPipeline of diffusers 0.42.1 cuts long prompts without a word"
