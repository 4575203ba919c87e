"""People the model was not trained on, from the shell."""
