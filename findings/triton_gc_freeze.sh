#!/usr/bin/env bash
# triton 3.9.0: a process that imported it and called `gc.freeze()` prints a page of "leaked"
# instances, types and functions on stderr as it exits; nothing has leaked.
#
# Python advises `gc.freeze()` before a fork, so that children share what was imported. torch
# imports triton (by its compiler, which torchvision and Lightning bring in), so a server of
# processes that preloads them ends with some 30 lines of nanobind's check, which looks for what the
# last collection did not free: what is frozen is never collected. `gc.unfreeze()` at exit ends it.
#
# Output seen on 2026-11-30:
#   imported: 0 lines of nanobind
#   frozen: over 20 lines of nanobind, exit status 0
#   unfrozen at exit: 0 lines of nanobind
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install triton==3.9.0
said() { # code that follows the import
  "$folder/venv/bin/python" -c "import atexit, gc, triton; $1" 2> "$folder/said" >&2
  grep -c -e nanobind -e leaked "$folder/said" || true
}
imported=$(said 'pass') frozen=$(said 'gc.freeze()')
unfrozen=$(said 'gc.freeze(); atexit.register(gc.unfreeze)')
echo "imported: $imported lines of nanobind"
echo "frozen: $frozen lines of nanobind"
echo "unfrozen at exit: $unfrozen lines of nanobind"
[ "$imported" = 0 ] && [ "$frozen" -gt 20 ] && [ "$unfrozen" = 0 ] || { echo "changed"; exit 1; }
