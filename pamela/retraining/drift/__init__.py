"""How new ratings differ from those that the champion was trained on, before it learns them."""
