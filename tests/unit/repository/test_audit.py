"""`make audit` fails on what is vulnerable, and says when it could not ask."""

from __future__ import annotations

from tests.audit import judge

BAD = {
    "name": "made-up", "version": "1.0",
    "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["1.1"]}],
}  # fmt: skip
GOOD = {"name": "other", "version": "2.0", "vulns": []}
UNASKED = {"name": "third", "skip_reason": "not found"}


def test_a_vulnerability_fails_until_it_is_accepted_by_any_of_its_names():
    passed, lines = judge({"dependencies": [BAD, GOOD, UNASKED]}, {})
    assert not passed
    assert lines[0] == "audit: made-up 1.0: PYSEC-1, mended in 1.1"
    assert lines[-1] == "audit: 2 packages, 1 known vulnerabilities, 1 could not be asked for"
    for name in ("PYSEC-1", "CVE-1"):
        assert judge({"dependencies": [BAD]}, {name: "not used here"})[0]
    passed, lines = judge({"dependencies": [GOOD]}, {"CVE-1": "not used here"})
    assert passed
    assert "not found any more" in lines[0]


def test_a_service_that_cannot_be_asked_is_told_and_no_failure():
    """pip-audit says "no known vulnerabilities" where it could look up no package."""
    for report in ("no route to host", {"dependencies": [UNASKED]}):
        passed, lines = judge(report, {})
        assert passed
        assert lines[0].startswith("audit: not run: the vulnerability service")
