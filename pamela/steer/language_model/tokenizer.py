"""The tokenizer: a token for every subject, style and phrase of the embedded world, else bytes.

What the words of the vocabulary and the protocol leave is byte-level BPE, so any text can be read
and written; it is a `tokenizers` file alone, without sentencepiece.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from pamela.steer.rewriters import protocol
from pamela.steer.rewriters.base import RewriteRequest, Trial
from pamela.synthetic import vocabulary as v

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, SYSTEM, USER, ASSISTANT, END = "<|pad|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"
SPECIAL: Final = (PAD, SYSTEM, USER, ASSISTANT, END)
LEARNED_TOKENS: Final = 128  # merges at most, of what is left between the phrases
CHAT_TEMPLATE: Final = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def build_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Return a tokenizer for conversations like `texts`."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    phrases = [*world_phrases(), *protocol_phrases()]
    core = Tokenizer(models.BPE())
    bytes_alone = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    digits = pre_tokenizers.Split(Regex(r"[0-9]"), "isolated")
    core.pre_tokenizer = pre_tokenizers.Sequence([digits, bytes_alone])
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + LEARNED_TOKENS,
        min_frequency=20,
        initial_alphabet=sorted(alphabet),
        show_progress=False,
    )
    core.train_from_iterator(_between(texts, phrases), trainer)
    core.add_special_tokens([AddedToken(name, special=True) for name in SPECIAL])
    core.add_tokens([AddedToken(text, normalized=False) for text in phrases])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        eos_token=END,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )


def world_phrases() -> list[str]:
    """Return what prompts are put together from, as it stands in them."""
    subjects = [form for name in v.SUBJECTS for form in (f" {name}", name[0].upper() + name[1:])]
    styles = [f" {name}" for name in v.STYLES.values()]
    said = [*(texts for levels in v.WORDS.values() for texts in levels.values())]
    looks = [f", {text}" for texts in [*said, *v.LIGHTINGS.values()] for text in texts]
    return list(dict.fromkeys([*subjects, *styles, *looks]))


def protocol_phrases() -> list[str]:
    """Return the fixed text of the protocol's questions: what stands around prompts and numbers."""
    mark = "\0"
    request = RewriteRequest(mark, (Trial(mark, 0.0),) * 2, 1, (0,))
    system, user = protocol.messages(request, 0, 1, (mark,))
    pieces = re.split(r"\0|0: |(?<= )0(?= )", user["content"])
    return [system["content"], *dict.fromkeys(piece for piece in pieces if len(piece) > 1)]


def _between(texts: Iterable[str], phrases: Sequence[str]) -> Iterable[str]:
    """Yield what of `texts` lies between phrases."""
    longest_first = sorted(phrases, key=lambda phrase: (-len(phrase), phrase))
    reader = re.compile("|".join(map(re.escape, longest_first)))
    for text in texts:
        yield from (piece for piece in reader.split(text) if piece)
