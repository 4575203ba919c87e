"""``make audit``: known vulnerabilities of the pinned packages (pip-audit), where one can ask.

A vulnerability that ``[tool.audit]`` of pyproject.toml does not accept, with a reason, is a
failure. That the service cannot be reached is none: a line says so. pip-audit says "none found"
where the service knows no package at all (a mirror without that part), so they are counted here.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.paths import ROOT

TIMEOUT_S = 180
ANSWER_S = 10  # how long one answer may take
PIP_AUDIT = (
    "-m", "pip_audit", "-r", "constraints.txt", "--no-deps", "--disable-pip",
    "--format", "json", "--progress-spinner", "off", "--timeout", str(ANSWER_S),
)  # fmt: skip


def accepted() -> dict[str, str]:
    """Return the vulnerabilities that are accepted, by id, with the reason."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    found: dict[str, str] = tool.get("audit", {}).get("accepted", {})
    return found


def ask(root: Path = ROOT) -> dict[str, Any] | str:
    """Return pip-audit's report, or why there is none."""
    try:
        done = subprocess.run(
            [sys.executable, *PIP_AUDIT], cwd=root, capture_output=True, text=True,
            timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"no answer in {TIMEOUT_S} s"
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return (done.stderr.strip().splitlines() or ["no message"])[-1][:200]
    return report


def judge(report: Mapping[str, Any] | str, accepted: Mapping[str, str]) -> tuple[bool, list[str]]:
    """Return whether a report passes, and what to say of it."""
    if isinstance(report, str):
        return True, [f"audit: not run: the vulnerability service cannot be reached ({report})"]
    asked = [one for one in report["dependencies"] if "vulns" in one]
    skipped = len(report["dependencies"]) - len(asked)
    if not asked:
        return True, ["audit: not run: the vulnerability service knows none of the packages here"]
    found = {
        (one["name"], one["version"], vulnerability["id"]): vulnerability
        for one in asked
        for vulnerability in one["vulns"]
    }
    names = [{what["id"], *what.get("aliases", ())} for what in found.values()]
    lines = []
    for (name, version, number), what in found.items():
        if not accepted.keys() & {number, *what.get("aliases", ())}:
            mended = ", ".join(what["fix_versions"]) or "no version yet"
            lines.append(f"audit: {name} {version}: {number}, mended in {mended}")
    passed = not lines
    for number in sorted(accepted):
        if not any(number in some for some in names):
            lines.append(f"audit: {number} is accepted in pyproject.toml and not found any more")
    if not passed:
        lines.append(
            "audit: raise the pin in constraints.txt, or accept it in pyproject.toml "
            "([tool.audit]) with the reason why it does not matter here"
        )
    left = f", {skipped} could not be asked for" if skipped else ""
    lines.append(f"audit: {len(asked)} packages, {len(found)} known vulnerabilities{left}")
    return passed, lines


if __name__ == "__main__":
    passed, lines = judge(ask(), accepted())
    print("\n".join(lines))
    sys.exit(0 if passed else 1)
