"""Learning from choices between two pictures: Thurstone's model with ties."""
