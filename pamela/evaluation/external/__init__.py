"""Scores from elsewhere as rows beside the models: what they say, and every number of theirs."""
