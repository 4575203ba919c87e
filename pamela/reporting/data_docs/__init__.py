"""Data docs: ``reports/data.html``, what the checks said and what the ratings look like.

Written by the validate stage (``python -m flows.validate``), also when it then fails because too
much is faulty. `statistics` counts, `raters` flags, `agreement` compares raters, `plots` draws,
`page` lays out.
"""
