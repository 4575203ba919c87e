"""What a participant sees: consent, pictures to rate, a wait, pairs to compare, a word of thanks.

A page holds what is asked now and nothing else: addresses of pictures say nothing of their arms,
and what comes next is on the server alone. An answer counts once the pictures are there to be seen
for a moment, so that the second click of a double click finds nothing to press.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from nicegui import app, ui
from nicegui.events import KeyEventArguments

from pamela.core.errors import PamelaError
from pamela.study.participant import (
    LEFT,
    RIGHT,
    TIE,
    Choose,
    Comment,
    Participant,
    Rate,
    Wait,
)
from pamela.study.study import Study
from pamela.study.web.scale import WORDS, levels

PAUSE_S: Final = 0.4  # between pictures that are there and an answer that counts: a double click
POLL_S: Final = 0.7
COLOUR: Final = "#1d4f91"  # white letters on it are read easily
WRONG_CODE_S: Final = 1.0
NOT_SAVED: Final = "This could not be saved. Please tell the researchers, and try again later."
KEYS: Final = {"ArrowLeft": LEFT, "ArrowRight": RIGHT, "ArrowDown": TIE, "t": TIE, "T": TIE}
PICTURE: Final = (
    "display: block; width: 100%; max-height: 62vh; object-fit: contain; margin: 0 auto"
)


def make_page(study: Study, consent: str) -> Callable[[], Awaitable[None]]:
    """Return what shows the one page of a study."""

    async def study_page() -> None:
        session = str(app.storage.browser["id"])
        client = ui.context.client
        await client.connected()  # from here on what the browser says is heard
        if client.has_socket_connection:  # else it has gone meanwhile
            View(study, session, consent).show()

    return study_page


class View:
    """What is before one participant in one tab."""

    def __init__(self, study: Study, session: str, consent: str) -> None:
        self._study, self._session, self._consent = study, session, consent
        self._actions: dict[str, Callable[[], None]] = {}  # by key; empty until the pictures show
        self._since = 0.0
        ui.colors(primary=COLOUR)
        ui.keyboard(self._pressed, repeating=False, ignore=["input", "textarea"])
        self._box = ui.column().classes("w-full max-w-4xl mx-auto items-center gap-4")

    def show(self) -> None:
        """Show what is asked now."""
        self._actions = {}
        self._box.clear()
        with self._box:
            person = self._study.who(self._session)
            if person is None:
                self._welcome()
                return
            step = self._study.look(person)
            if isinstance(step, Rate):
                self._rate(person, step)
            elif isinstance(step, Choose):
                self._choose(person, step)
            elif isinstance(step, Wait):
                self._wait(person)
            elif isinstance(step, Comment):
                self._ask_comment(person)
            else:
                ui.label("Thank you for taking part. You may close this page.").classes("text-xl")
                return
            ui.label(f"To go on in another browser, use this code: {self._study.code(person)}") \
                .classes("text-xs text-grey-8 mt-4")  # fmt: skip

    # --- consent ------------------------------------------------------------------------------
    def _welcome(self) -> None:
        ui.markdown(self._consent).classes("w-full")
        ui.button("I agree and take part", on_click=self._join).props("no-caps")
        with ui.expansion("I have begun already").classes("w-full"):
            typed = ui.input("Your code").props("autocomplete=off maxlength=40")

            async def go_on() -> None:
                found = self._saved(lambda: self._study.resume(self._session, typed.value or ""))
                if found is None:
                    await asyncio.sleep(WRONG_CODE_S)
                    ui.notify("Nobody has this code.", type="warning")
                    return
                self.show()

            ui.button("Go on", on_click=go_on).props("no-caps outline")

    def _join(self) -> None:
        if self._saved(lambda: self._study.join(self._session)) is not None:
            self.show()

    # --- ratings ------------------------------------------------------------------------------
    def _rate(self, person: Participant, step: Rate) -> None:
        self._progress(f"Picture {step.number + 1} of {step.of}", step.number / step.of)

        def rate(value: float, ms: int) -> bool:
            return self._study.rate(person, step.number, value, ms)

        ui.label("How much do you like this picture?").classes("text-lg")
        buttons: list[ui.button] = []
        actions: dict[str, Callable[[], None]] = {}
        with ui.element("div").classes("w-full max-w-lg"):
            self._picture(person, step, "one", "the picture", lambda: self._ready(buttons, actions))
        with ui.row().classes("items-center justify-center gap-2"):
            ui.label(WORDS[0]).classes("text-sm text-grey-8")
            for label, value in levels(self._study.settings.scale):
                actions[label] = self._answer(partial(rate, value))
                buttons.append(_button(label, actions[label]))
            ui.label(WORDS[1]).classes("text-sm text-grey-8")
        ui.label("Click, or press the number on the keyboard.").classes("text-sm text-grey-8")

    # --- pairs --------------------------------------------------------------------------------
    def _choose(self, person: Participant, step: Choose) -> None:
        self._progress(f"Pair {step.number + 1} of {step.of}", step.number / step.of)
        ui.label("Which picture do you like more?").classes("text-lg")
        buttons: list[ui.button] = []
        actions: dict[str, Callable[[], None]] = {}
        there: set[str] = set()

        def choose(side: str, ms: int) -> bool:
            return self._study.choose(person, step.number, side, ms)

        def loaded(side: str) -> None:
            there.add(side)
            if there == {LEFT, RIGHT}:
                self._ready(buttons, actions)

        with ui.element("div").classes("w-full grid grid-cols-2 gap-4"):
            for side in (LEFT, RIGHT):
                self._picture(person, step, side, f"the {side} picture", partial(loaded, side))
        with ui.row().classes("items-center justify-center gap-2"):
            for side, label in ((LEFT, "Left"), (TIE, "Both alike"), (RIGHT, "Right")):
                act = self._answer(partial(choose, side))
                actions |= {key: act for key, means in KEYS.items() if means == side}
                buttons.append(_button(label, act))
        ui.label("Click, or press ← , → , or ↓ for both alike.").classes("text-sm text-grey-8")

    # --- the rest -----------------------------------------------------------------------------
    def _wait(self, person: Participant) -> None:
        if self._study.made is not None:
            ui.label("Thank you. Pictures are now being made for you, which takes a while.")
            ui.label("Please come back later, here or by your code.")
            return
        ui.label("Pictures are being drawn for you. This page goes on by itself.").classes(
            "text-lg"
        )
        bar = ui.linear_progress(0, show_value=False).classes("w-full max-w-lg")
        line = ui.label("")

        def look() -> None:
            if not isinstance(person.step, Wait):
                self.show()
                return
            found = self._study.progress(person)
            if found is None:
                return
            bar.value = found.share
            if found.fault is not None:
                line.text = "Something went wrong. Your answers are kept: please try again later."
                again.visible = True
            elif found.ahead:
                line.text = f"{found.ahead} before you"
            else:
                line.text = f"{found.done} of {found.total} drawn"

        again = ui.button("Try again", on_click=self.show).props("no-caps outline")
        again.visible = False
        ui.timer(POLL_S, look)

    def _ask_comment(self, person: Participant) -> None:
        ui.label("That was the last one. Thank you!").classes("text-xl")
        text = ui.textarea("Is there anything that you want to tell us?").props("maxlength=5000")
        text.classes("w-full max-w-lg")

        def finish() -> None:
            self._saved(lambda: self._study.say(person, text.value or ""))
            self.show()

        ui.button("Finish", on_click=finish).props("no-caps")

    # --- parts --------------------------------------------------------------------------------
    def _progress(self, text: str, share: float) -> None:
        ui.linear_progress(share, show_value=False).classes("w-full")
        ui.label(text).classes("text-sm text-grey-8")

    def _picture(
        self,
        person: Participant,
        step: Rate | Choose,
        side: str,
        alt: str,
        loaded: Callable[[], Any],
    ) -> None:
        picture = ui.element("img").style(PICTURE).mark(side)
        picture.props["src"] = f"picture/{self._study.token(person, step, side)}"
        picture.props["alt"] = alt
        picture.props["draggable"] = "false"
        picture.on("load", loaded, args=[])

    def _ready(self, buttons: list[ui.button], actions: dict[str, Callable[[], None]]) -> None:
        def enable() -> None:
            self._actions, self._since = actions, time.monotonic()
            for button in buttons:
                button.enable()

        ui.timer(PAUSE_S, enable, once=True)

    def _answer(self, take: Callable[[int], bool]) -> Callable[[], None]:
        def act() -> None:
            if not self._actions:  # not ready, or answered already
                return
            ms = round(1000 * (time.monotonic() - self._since))
            if self._saved(lambda: take(ms)) is not None:
                self.show()  # also where another tab was first

        return act

    def _pressed(self, event: KeyEventArguments) -> None:
        modifiers = event.modifiers
        if event.action.keydown and not (modifiers.ctrl or modifiers.alt or modifiers.meta):
            self._actions.get(str(event.key), lambda: None)()

    def _saved(self, act: Callable[[], Any]) -> Any:
        """Do what writes; where it cannot be written, say so and stay."""
        try:
            return act()
        except (OSError, PamelaError) as error:
            print(f"error: {error}", flush=True)
            ui.notify(NOT_SAVED, type="negative", timeout=10_000)
            return None


def _button(label: str, act: Callable[[], None]) -> ui.button:
    button = ui.button(label, on_click=act).props("no-caps")
    button.disable()
    return button
