"""Who compares pictures, and what follows from their comparisons."""
