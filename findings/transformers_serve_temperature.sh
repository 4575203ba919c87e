#!/usr/bin/env bash
# transformers 5.24.0: `transformers serve` ignores the temperature and the seed of a request.
#
# Assumed: a chat request with temperature 1.5 draws its answer at random, another seed another one,
# as with any server of this protocol. The server takes temperature, top_p and seed into a copy of
# the model's generation config, but sets do_sample only to false (temperature 0), never to true. A
# model whose generation_config.json does not say "do_sample": true (the default) answers with its
# most likely text, whatever is asked. Status 200, no word in the answer. With "do_sample": true in
# that file the same requests differ.
#
# Output seen on 2026-11-29:
#   default generation config, three seeds: 1 different answers
#   do_sample: true, three seeds: 3 different answers
set -euo pipefail
folder=$(mktemp -d)
server=
trap 'test -z "$server" || kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "transformers[serving]==5.24.0" torch==2.15.0
cd "$folder"
cat > make.py <<'PY'
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

letters = sorted(pre_tokenizers.ByteLevel.alphabet())
words = Tokenizer(models.BPE({w: i for i, w in enumerate(["</s>", *letters])}, []))
words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
words.decoder = decoders.ByteLevel()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>", pad_token="</s>")
tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
torch.manual_seed(0)
config = LlamaConfig(
    vocab_size=len(tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=1,
    num_attention_heads=2, eos_token_id=0, pad_token_id=0,
)
for name, draw in (("default", None), ("sampling", True)):
    model = LlamaForCausalLM(config)
    model.generation_config.do_sample = draw
    model.save_pretrained(name)
    tokenizer.save_pretrained(name)
PY
cat > ask.py <<'PY'
import json, sys, time, urllib.request

def ask(model, seed):
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}], "seed": seed,
            "temperature": 1.5, "max_tokens": 20}
    request = urllib.request.Request(
        "http://127.0.0.1:18765/v1/chat/completions", json.dumps(body).encode(),
        {"Content-Type": "application/json"})
    for _ in range(300):
        try:
            answer = json.load(urllib.request.urlopen(request, timeout=300))
            return answer["choices"][0]["message"]["content"]
        except ConnectionError:
            pass
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionError):
                raise
        time.sleep(1)
    sys.exit("the server did not start")

folder = sys.argv[1]
for name, title in (("default", "default generation config"), ("sampling", "do_sample: true")):
    answers = {ask(f"{folder}/{name}", seed) for seed in (1, 2, 3)}
    print(f"{title}, three seeds: {len(answers)} different answers")
PY
"$folder/venv/bin/python" make.py 2>/dev/null
HF_HUB_OFFLINE=1 "$folder/venv/bin/transformers" serve --host 127.0.0.1 --port 18765 --device cpu > log 2>&1 &
server=$!
"$folder/venv/bin/python" ask.py "$folder" > seen
diff seen - <<'SEEN'
default generation config, three seeds: 1 different answers
do_sample: true, three seeds: 3 different answers
SEEN
echo "as described: transformers serve 5.24.0 draws only where generation_config.json says so"
