"""What callers give to the API, as it works with it; a fault is one line that names it."""
