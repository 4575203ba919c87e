"""Steering: rewrite a prompt until a reward likes the picture, then ask whether its user does.

The parts stand behind small protocols (`Generator`, `Rewriter`, `Reward`, `Judge`), so that a real
text-to-image model, a language model or a person can take the place of the embedded ones.
"""
