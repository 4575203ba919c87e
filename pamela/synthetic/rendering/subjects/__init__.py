"""What is drawn, by group of subjects."""
