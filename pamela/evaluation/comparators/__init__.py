"""What models are compared with, and what the evaluation itself makes of a fold's ratings."""
