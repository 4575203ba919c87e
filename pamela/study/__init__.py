"""A study with people: they rate pictures, are steered for, and choose blindly between arms.

`pamela.study.web` shows the pages, all else here knows nothing of them.
"""
