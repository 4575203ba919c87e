"""What Prefect's page says of a retrain."""

from __future__ import annotations

from flows.service import run_page


def test_a_name_says_what_was_done_to_which_batches() -> None:
    assert run_page.name_of([]) == "retrain · nothing to do"
    assert run_page.name_of(["promoted version 3"], ["synthetic/b1"]) == (
        "retrain · promoted version 3 · synthetic/b1"
    )
    many = run_page.name_of(["refused"], [f"d/b{k}" for k in range(9)])
    assert many == "retrain · refused · d/b0, d/b1, d/b2 and 6 more"


def test_nothing_from_data_is_read_as_markup() -> None:
    page = run_page.markdown("retrain", ["d/<b>x</b>: [a](javascript:x) *b* `c` | d"], [
        {"check": "people of <i>a|b</i>\nnext", "difference": 0.12345, "holds": True, "lower": None}
    ])  # fmt: skip
    assert "<b>" not in page
    assert "<i>" not in page
    assert r"\[a\](javascript:x) \*b\* \`c\` \| d" in page
    assert page.endswith(
        "| check | difference | holds | lower |\n| --- | --- | --- | --- |\n"
        r"| people of &lt;i&gt;a\|b&lt;/i&gt; next | 0.1235 | True |  |"
    )


def test_outside_of_a_flow_nothing_is_shown() -> None:
    run_page.show("retrain", ["line"])  # asks no server
