"""Imported last where processes are forked from: what is imported by then stays shared memory.

Python's collector writes into every object that it looks at, and so copies the page that it lies
on: 80 MiB in each process after torch and Lightning, and half a second at every full collection.
"""

from __future__ import annotations

import atexit
import gc

gc.collect()
gc.freeze()
atexit.register(gc.unfreeze)  # torch's compiler takes what is frozen at the end for a leak
