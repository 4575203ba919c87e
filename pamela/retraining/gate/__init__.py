"""The gate: what champion and challenger are compared on, what is asked, what was decided."""
