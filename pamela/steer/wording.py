"""What changed from one prompt to another, in words."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pamela.synthetic.prompts import Spec

UNSAID: Final = "unsaid"
ASPECTS: Final = {"key": "brightness", "symmetry": "composition", "clutter": "surroundings"}


@dataclass(frozen=True)
class Change:
    """What two prompts say differently.

    Attributes
    ----------
    before, after : the words; empty where one says nothing of it.
    aspect : lighting, angle, palette and so on, where the embedded world's renderer draws them.
    """

    before: str
    after: str
    aspect: str = ""

    def __str__(self) -> str:
        if self.aspect:
            before = f"{self.before} -> " if self.before else ""
            return f"{self.aspect}: {before}{self.after or UNSAID}"
        if not self.before:
            return f"added: {self.after}"
        return f"{self.before} -> {self.after}" if self.after else f"left out: {self.before}"


def changes(before: str, after: str, *, embedded: bool) -> list[Change]:
    """Return what `after` says otherwise than `before`.

    Parameters
    ----------
    embedded : whether the embedded world's renderer draws them: they are compared by what it reads,
        not word by word.
    """
    if not embedded:
        return _word_changes(before.split(), after.split())
    from pamela.synthetic.prompts import parse_prompt

    old, new = parse_prompt(before), parse_prompt(after)
    if (old.subject, old.style, old.type) != (new.subject, new.style, new.type):
        return _word_changes(before.split(), after.split())
    said, says = _looks(old, before), _looks(new, after)
    return [
        Change(said.get(name, ""), says.get(name, ""), ASPECTS.get(name, name))
        for name in {**said, **says}
        if _asked(old, name) != _asked(new, name)
    ]


def _looks(spec: Spec, prompt: str) -> dict[str, str]:
    """Return the words of `prompt` for each aspect that it mentions."""
    from pamela.synthetic import vocabulary as v

    text = " ".join(prompt.lower().split())
    phrases = {name: v.WORDS[name][level] for name, level in spec.attributes.items()}
    phrases |= {"lighting": v.LIGHTINGS[spec.lighting]} if spec.lighting else {}
    return {
        name: next((one for one in said if one in text), said[0]) for name, said in phrases.items()
    }


def _asked(spec: Spec, name: str) -> float | str | None:
    return spec.lighting if name == "lighting" else spec.attributes.get(name)


def _word_changes(before: list[str], after: list[str]) -> list[Change]:
    old, new = [_bare(word) for word in before], [_bare(word) for word in after]
    return [
        Change(_joined(before[a:b]), _joined(after[c:d]))
        for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        if kind != "equal"
    ]


def _bare(word: str) -> str:
    return word.strip(".,;:!?\"'()").casefold()


def _joined(words: list[str]) -> str:
    return " ".join(words).strip(" ,.;")
