"""How a folder of the inbox enters: what it may hold, copying it, checking the copy, refusing."""
