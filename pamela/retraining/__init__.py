"""New ratings become a better champion, or are turned away: batches, the gate, promotion."""
