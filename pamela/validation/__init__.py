"""Whether rows may enter: checks, quarantine, duplicates, and the inbox of new batches."""
