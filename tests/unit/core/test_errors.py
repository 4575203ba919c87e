"""Credentials inside addresses: hidden in every message, found wherever they stand, no others."""

from __future__ import annotations

import subprocess
import sys
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.core.errors import PamelaError, hidden, holds_secret, show_warnings_as_lines
from tests.paths import ROOT

NAMES = st.text(st.characters(codec="ascii", categories=("L", "N")), max_size=12)
PASSWORDS = st.text(
    st.characters(codec="ascii", categories=("L", "N", "P", "S"), exclude_characters="'\""),
    min_size=4,
    max_size=40,
).filter(lambda word: not word[0].isdigit())
HOSTS = st.from_regex(r"[a-z][a-z0-9-]{0,12}(\.[a-z]{2,5})?(:[0-9]{2,5})?", fullmatch=True)
SCHEMES = st.sampled_from(["http", "https", "postgresql", "mysql+pymysql", "s3", "ssh", "webdavs"])


@settings(deadline=None)
@given(scheme=SCHEMES, name=NAMES, password=PASSWORDS, host=HOSTS)
def test_a_password_is_hidden_wherever_it_stands(scheme, name, password, host):
    address = f"{scheme}://{name}:{password}@{host}/path"
    assert holds_secret(address)
    for text in (address, f"tracking.uri: {address}", f"({address}) and {address}"):
        shown = hidden(text)
        assert f"{name}:{password}" not in shown
        assert f"{scheme}://***@{host}" in shown
        assert hidden(shown) == shown
        assert not holds_secret(shown)
        assert f"{name}:{password}" not in str(PamelaError(text))


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://TOKEN@host/x", "https://***@host/x"),
        ("http://host/?token=abc&page=2", "http://host/?token=***&page=2"),
        ("https://store/c?sv=1&sig=a%3D", "https://store/c?sv=1&sig=***"),
        ("Protocol=https;AccountKey=abc==;", "Protocol=https;AccountKey=***;"),
        ("http://name:pa/ss@host", "http://***@host"),
        ("http:/name:pass@host/x", "http:/***@host/x"),
        ("http://name:12345@host", "http://***@host"),
        ("http://name:pa'ss@host", "http://***@host"),
        ("https://host/?private_token=abc", "https://host/?private_token=***"),
        ("https://host/?api-key=abc&page=2", "https://host/?api-key=***&page=2"),
        ("https://host/#access_token=abc", "https://host/#access_token=***"),
        ("host=h password=abc dbname=d", "host=h password=*** dbname=d"),
        ("?X-Amz-Security-Token=abc", "?X-Amz-Security-Token=***"),
    ],
)
def test_tokens_and_odd_passwords_are_hidden(address, shown):
    assert holds_secret(address)
    assert hidden(address) == shown


@pytest.mark.parametrize(
    "address",
    [
        "sqlite:///mlflow.db",
        "sqlite:////home/a@b/mlflow.db",
        "http://127.0.0.1:5000",
        "http://[::1]:5000/runs@v1",
        "http://host:5000/path@v1",
        "models:/pamela@champion",
        "postgresql://pamela@host/mlflow",
        "git@host:group/project",
        "hf://OWNER/NAME@REVISION",
        "ViT-B-32/openai",
        "see http://host:80 or write to name@host",
        "--map rating=score,tie_key=k",
        "http://host/?monkey=1&author=me",
    ],
)
def test_an_address_without_a_secret_stays_as_it_is(address):
    assert not holds_secret(address)
    assert hidden(address) == address


def test_a_long_text_costs_little():
    text = "a" * 100_000 + "://b:" * 20_000
    assert len(str(PamelaError(text))) < 700


def test_what_nobody_caught_hides_them_too():
    code = (
        "from pamela.core.errors import hide_in_tracebacks\n"
        "hide_in_tracebacks()\n"
        "raise OSError('API request to http://name:password@host failed')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert "API request to http://***@host failed" in done.stderr
    assert "password@host" not in done.stderr


def test_a_warning_is_one_line_that_tells_no_secret(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    show_warnings_as_lines()
    warnings.showwarning("two\nlines of http://me:secret@host/x", UserWarning, "place.py", 7)
    assert capsys.readouterr().err == "warning: two lines of http://***@host/x\n"
