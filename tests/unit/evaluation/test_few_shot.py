"""Which ratings of an unseen user a model is shown, and which it is asked."""

from __future__ import annotations

import numpy as np
import pytest

from pamela.core import schema as s
from pamela.core.dataset import Pairs
from pamela.evaluation.few_shot import unseen_task
from tests.helpers.taste_fold import (
    ROWS,
    SEEN_USERS,
    UNSEEN_USERS,
    make_fold,
)


def rows(pairs: Pairs) -> set[tuple[int, int]]:
    return set(zip(pairs.user.tolist(), pairs.item.tolist(), strict=True))


@pytest.mark.parametrize("own", [True, False])
def test_contexts_are_nested_and_the_query_is_fixed(own):
    fold = make_fold(context=own)
    task = unseen_task(fold, query_size=25, seed=0)
    queries, contexts = zip(*(task.at(k) for k in (0, 2, 5, 7)), strict=True)
    assert all(rows(query) == rows(queries[0]) for query in queries)
    for k, fewer, more in zip((0, 2, 5), contexts[:-1], contexts[1:], strict=True):
        assert rows(fewer) < rows(more)
        assert len(fewer) == k * UNSEEN_USERS
    assert not rows(task.query) & rows(task.context)
    expected = ROWS if own else 25
    assert (np.bincount(task.query.user)[SEEN_USERS:] == expected).all()


def test_context_comes_from_its_own_part_where_there_is_one():
    fold = make_fold(context=True)
    task = unseen_task(fold, query_size=25, seed=0)
    assert rows(task.context) == rows(fold[s.CONTEXT_UNSEEN])
    assert rows(task.query) == rows(fold[s.TEST_UNSEEN])


@pytest.mark.parametrize("own", [True, False])
def test_the_ratings_of_one_picture_are_shown_together_or_asked_as_their_mean(own):
    fold = make_fold(context=own)
    once = unseen_task(fold, query_size=25, seed=0)
    for part in (s.TEST_UNSEEN, s.CONTEXT_UNSEEN):
        first = fold[part]
        again = Pairs(first.user, first.item, np.where(first.rating > 4, 1, first.rating + 1))
        fold.parts[part] = Pairs.concat(first, again.take(np.arange(len(again))[::-1]))
    twice = unseen_task(fold, query_size=25, seed=0)
    assert rows(twice.query) == rows(once.query)
    assert len(twice.query) == len(once.query)
    assert rows(twice.context) == rows(once.context)
    for k in (5, 10):
        shown = twice.at(k)[1]
        assert rows(shown) == rows(once.at(k // 2)[1])
        assert len(shown) == k // 2 * 2 * UNSEEN_USERS


def test_users_without_k_rows_are_left_out():
    fold = make_fold()
    short = fold[s.TEST_UNSEEN]
    first = np.flatnonzero(short.user == SEEN_USERS)[:10]  # leaves this user 22 rows
    fold.parts[s.TEST_UNSEEN] = short.take(np.setdiff1d(np.arange(len(short)), first))
    task = unseen_task(fold, query_size=25, seed=0)
    assert SEEN_USERS in task.at(0)[0].user
    assert SEEN_USERS not in task.at(1)[0].user
    assert len(np.unique(task.at(7)[0].user)) == UNSEEN_USERS - 1
    assert len(task.at(8)[0]) == 0


def test_an_appended_rating_moves_no_other_from_its_place():
    fold = make_fold(context=True)
    before = unseen_task(fold, query_size=25, seed=0)
    whole = fold[s.CONTEXT_UNSEEN]
    fold.parts[s.CONTEXT_UNSEEN] = whole.take(np.arange(len(whole)) != 5)
    after = unseen_task(fold, query_size=25, seed=0)
    user = whole.user[5]
    kept = [pair for pair in ordered(before, user) if pair != whole.item[5]]
    assert ordered(after, user) == kept
    assert ordered(unseen_task(fold, query_size=25, seed=1), user) != kept


def ordered(task, user) -> list[int]:
    mine = task.context.user == user
    return task.context.item[mine][np.argsort(task.place[mine])].tolist()
