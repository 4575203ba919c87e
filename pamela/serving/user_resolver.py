"""Whom a caller means: a user of the model, a saved person, a `User`, or people in general."""

from __future__ import annotations

from pamela.core.errors import PamelaError
from pamela.serving.adaptation import Adapter
from pamela.serving.saved.people import PEOPLE, SavedPeople, State
from pamela.serving.user_context import User, UserContext, UserContexts


class UserResolver:
    """Finds users by name; a saved person is read again once their file has changed.

    Parameters
    ----------
    people : saved people; None where there is no project.
    """

    def __init__(
        self, user_contexts: UserContexts, adapter: Adapter, people: SavedPeople | None
    ) -> None:
        self._contexts, self._adapter, self._people = user_contexts, adapter, people
        self._recalled: dict[str, tuple[State | None, User]] = {}

    def context(self, user: str | User | None, dataset: str | None) -> UserContext:
        """Return who looks.

        Parameters
        ----------
        dataset : where a bare user is looked for; that of a user who is found must be this one.

        Raises
        ------
        PamelaError
            If nobody, several or somebody of another dataset is meant.
        """
        if user is None:
            return self._contexts.nobody(self._adapter.dataset(dataset))
        if dataset is not None:
            self._adapter.dataset(dataset)
        found = self._find(user, dataset)
        if dataset not in (None, found.dataset):
            raise PamelaError(
                f"dataset {dataset!r}: the user is one of dataset {found.dataset}; leave it out"
            )
        return found

    def person(self, name: str) -> User:
        """Return a saved person; an unknown name is an error that says who there is."""
        if self._people is None or not self._people.has(name):
            there = ", ".join(self._people.names) if self._people else ""
            raise PamelaError(f"no saved person {name!r}; there are: {there or '(none)'}")
        state = self._people.state(name)
        if name not in self._recalled or self._recalled[name][0] != state:
            self._recalled[name] = (state, self._people.recall(name, self._adapter))
        return self._recalled[name][1]

    def meant(self, user: str, dataset: str | None) -> tuple[list[str], str | None]:
        """Return whom a name may mean: users of the model, ``dataset/user``, and a saved person.

        One of them where the name is unique. ``people/NAME`` is a saved person unless it is a user.
        """
        known = self._contexts.users.matches(user, dataset)
        name = user.removeprefix(f"{PEOPLE}/")
        if self._people is None or user in known or not self._people.has(name):
            return known, None
        return ([] if name != user else known), name

    def _find(self, user: str | User, dataset: str | None) -> UserContext:
        if isinstance(user, User):
            return self._contexts.adapted(user)
        known, saved = self.meant(user, dataset)
        if saved is not None and known:
            raise PamelaError(
                f"user {user!r} is a saved person and a user: say {PEOPLE}/{user} or "
                f"{' or '.join(known)}"
            )
        if saved is not None:
            return self._contexts.adapted(self.person(saved))
        others = self._people.names if self._people else []
        return self._contexts.seen(self._contexts.users.find(user, others, dataset))
