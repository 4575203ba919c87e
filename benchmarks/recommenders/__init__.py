"""Beside recommenders: ``python -m benchmarks.recommenders``, on the models of a finished run.

SVD and KNNBaseline of scikit-surprise (the extra `recommenders`) on the queries that `evaluate`
asks about known pictures: cold-start people, pictures that others rated. They know no picture's
content; a person's shown ratings are fitted together with the training part, anew at each number of
shots. Each is tuned within the training part as our models are: as many configurations as
`hierarchical` tries, ``train.cv_folds`` folds, on people held out but for 20 ratings, by the same
correlation. Writes ``reports/recommenders.parquet`` and prints a table.
"""
