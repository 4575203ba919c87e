#!/usr/bin/env bash
# ruamel.yaml 0.19.1: a text with U+0085 (NEXT LINE) does not read back as it was written.
#
# YAML 1.2 counts U+0085 as content, no longer as a line break. The emitter still writes it bare in
# single quotes and breaks the line there; the reader of the same version folds it to one space.
# No error, no warning. The same text in double quotes is escaped as \N and reads back.
#
# Output seen on 2026-11-28:
#   default style: 'a b'
#   double quoted: 'a\x85b'
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ruamel.yaml==0.19.1
"$folder/venv/bin/python" - > "$folder/seen" <<'PY'
import io

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString


def there_and_back(text):
    out = io.StringIO()
    YAML().dump({"key": text}, out)
    return YAML(typ="safe", pure=True).load(out.getvalue())["key"]


print("default style:", ascii(there_and_back("a\x85b")))
print("double quoted:", ascii(there_and_back(DoubleQuotedScalarString("a\x85b"))))
PY
diff "$folder/seen" - <<'SEEN'
default style: 'a b'
double quoted: 'a\x85b'
SEEN
echo "as described: ruamel.yaml 0.19.1 turns U+0085 into a space"
