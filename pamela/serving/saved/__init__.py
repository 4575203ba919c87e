"""People who are kept so that any later model finds them again."""
