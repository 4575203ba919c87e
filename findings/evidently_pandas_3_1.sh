#!/usr/bin/env bash
# Evidently 0.7.23 and pandas 3.1.1: `import evidently` fails, though its metadata allows the pair.
#
# Evidently asks for `pandas[parquet]>=1.3.5`, so a resolver installs the newest pandas without a
# complaint, and `pip check` finds nothing. On import it takes a name from pandas' inside
# (pandas.core.dtypes.common.infer_dtype_from_object) that 3.0.0 still has and 3.1.1 has not. With
# pandas 3.0.0 the import succeeds.
#
# Output seen on 2026-11-29:
#   asked for: pandas[parquet]>=1.3.5
#   pip check: No broken requirements found.
#   pandas 3.1.1: ImportError: cannot import name 'infer_dtype_from_object'
#   pandas 3.0.0: imports
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/pip" --quiet --disable-pip-version-check)
try() {
  "${pip[@]}" install "$@"
  "$folder/venv/bin/python" -W ignore - <<'PY'
import pandas

try:
    import evidently  # noqa: F401

    print(f"pandas {pandas.__version__}: imports")
except ImportError as error:
    print(f"pandas {pandas.__version__}: ImportError: {str(error).partition(' from ')[0]}")
PY
}
{
  "${pip[@]}" install evidently==0.7.23 pandas==3.1.1
  "$folder/venv/bin/python" - <<'PY'
from importlib.metadata import requires

print("asked for:", *(one for one in requires("evidently") if one.startswith("pandas[")))
PY
  echo "pip check: $("$folder/venv/bin/pip" --disable-pip-version-check check 2>/dev/null)"
  try pandas==3.1.1
  try pandas==3.0.0
} > "$folder/seen"
diff "$folder/seen" - <<'SEEN'
asked for: pandas[parquet]>=1.3.5
pip check: No broken requirements found.
pandas 3.1.1: ImportError: cannot import name 'infer_dtype_from_object'
pandas 3.0.0: imports
SEEN
echo "as described: Evidently 0.7.23 does not import with pandas 3.1.1"
