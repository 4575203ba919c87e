"""The embedded encoder's tokenizer: whole words of a small vocabulary, as open_clip expects it.

Ids: 0 padding, 1 start, 2 an unknown word, then the vocabulary in file order, and last the end of
text, which must be the highest id because open_clip's text tower pools at the argmax.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from pamela.core.errors import PamelaError

PAD, START, UNKNOWN = 0, 1, 2
FIRST_WORD = 3
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?|[0-9]+|[,;:.]")


def split_words(text: str) -> list[str]:
    """Return the lower-case words, numbers and punctuation marks of `text`."""
    return _WORD.findall(text.lower())


class WordTokenizer:
    """Prompts to rows of ids.

    Parameters
    ----------
    words : the vocabulary; a word outside it becomes one `UNKNOWN` id.
    context_length : ids per row, start and end of text included; longer prompts are cut.
    """

    def __init__(self, words: Sequence[str], context_length: int) -> None:
        self.context_length = context_length
        self.words = tuple(words)
        self._id = {word: FIRST_WORD + i for i, word in enumerate(self.words)}
        self.end = FIRST_WORD + len(self.words)

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        return self.end + 1

    @classmethod
    def load(cls, path: Path, context_length: int) -> WordTokenizer:
        """Read a vocabulary file: one word a line."""
        try:
            return cls(path.read_text(encoding="utf-8").split(), context_length)
        except FileNotFoundError:
            raise PamelaError(f"{path}: no such file; `make encoder` writes it") from None

    def save(self, path: Path) -> None:
        """Write the vocabulary, one word a line."""
        path.write_text("\n".join(self.words) + "\n", encoding="utf-8")

    def knows(self, text: str) -> bool:
        """Tell whether any word of `text` is in the vocabulary; marks and numbers are no words."""
        return any(word in self._id for word in split_words(text) if word[0].isalpha())

    def encode(self, text: str) -> list[int]:
        """Return the ids of one text's words, uncut, without start and end."""
        return [self._id.get(word, UNKNOWN) for word in split_words(text)]

    def __call__(
        self, texts: str | Sequence[str], context_length: int | None = None
    ) -> torch.Tensor:
        """Return int64 ids of shape (n, context_length), padded with zeros."""
        length = context_length or self.context_length
        rows = [self.encode(t) for t in ([texts] if isinstance(texts, str) else texts)]
        ids = torch.zeros(len(rows), length, dtype=torch.int64)
        for row, words in enumerate(rows):
            kept = [START, *words[: length - 2], self.end]
            ids[row, : len(kept)] = torch.tensor(kept)
        return ids


def build_vocabulary(texts: Iterable[str], min_count: int = 2) -> list[str]:
    """Return the words seen at least `min_count` times in `texts`, in alphabetical order."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(split_words(text))
    return sorted(word for word, n in counts.items() if n >= min_count)
