"""What the data docs say of choices between two pictures."""
