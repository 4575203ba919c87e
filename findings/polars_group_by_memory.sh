#!/usr/bin/env bash
# Polars 2.1.0: a streaming group_by takes memory by its rows, where their groups are many and come
# in no order; by its groups one would expect, as the result is of groups.
#
# `scan_parquet(...).group_by("key").agg(pl.len()).collect(engine="streaming")` of 500,000 text keys
# that come in random order holds about 30 bytes for every row, more with more keys and aggregates:
# a table of four times the rows takes three times the memory, for a result of the same size. Rows
# sorted by key do not. At 70 million rows of two more keys and twelve aggregates it was over 9 GiB.
# Batches that are grouped one by one and put together take what the groups take.
#
# Output seen on 2026-11-29 (peak memory over that of the import):
#   the same 500,000 groups of 6 M and of 24 M rows
#   streaming, 24 M to 6 M rows: over 2 times the memory: True
#   sorted by key, 24 M to 6 M rows: over 2 times the memory: False
#   in batches, 24 M to 6 M rows: over 2 times the memory: False
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install polars==2.1.0 numpy==2.4.6
cat > "$folder/group.py" <<'PY'
import resource
import sys

import polars as pl

way, path = sys.argv[1:]


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


rows, before = pl.scan_parquet(path), peak()
if way == "batches":
    found = pl.DataFrame(schema={"key": pl.String, "len": pl.UInt32})
    for batch in rows.collect_batches(chunk_size=1 << 20, engine="streaming"):
        both = pl.concat([found, batch.group_by("key").len()])
        found = both.group_by("key").agg(pl.col("len").sum())
else:
    found = rows.group_by("key").len().collect(engine="streaming")
assert found.height == 500_000 and found["len"].sum() == rows.select(pl.len()).collect().item()
print(peak() - before)
PY
cat > "$folder/make.py" <<'PY'
import sys

import numpy as np
import polars as pl

rng = np.random.default_rng(0)
for millions in (6, 24):
    number = np.concatenate([rng.permutation(500_000) for _ in range(2 * millions)])
    for name, keys in (("mixed", number), ("sorted", np.sort(number))):
        frame = pl.DataFrame({"n": keys}).select(pl.format("user-{}", "n").alias("key"))
        frame.write_parquet(f"{sys.argv[1]}/{name}{millions}.parquet")
PY
python=("$folder/venv/bin/python")
"${python[@]}" "$folder/make.py" "$folder"
grown() { # way, table, what to call it
  local few many
  few=$("${python[@]}" "$folder/group.py" "$1" "$folder/${2}6.parquet")
  many=$("${python[@]}" "$folder/group.py" "$1" "$folder/${2}24.parquet")
  echo "$3: $few and $many kB" >&2
  echo "$3, 24 M to 6 M rows: over 2 times the memory: $( ((many > 2 * few)) && echo True || echo False)"
}
{
  echo "the same 500,000 groups of 6 M and of 24 M rows"
  grown streaming mixed streaming
  grown streaming sorted "sorted by key"
  grown batches mixed "in batches"
} > "$folder/seen"
diff "$folder/seen" - <<'SEEN'
the same 500,000 groups of 6 M and of 24 M rows
streaming, 24 M to 6 M rows: over 2 times the memory: True
sorted by key, 24 M to 6 M rows: over 2 times the memory: False
in batches, 24 M to 6 M rows: over 2 times the memory: False
SEEN
echo "as described: a streaming group_by of Polars 2.1.0 takes memory by its rows"
