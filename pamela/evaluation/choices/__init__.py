"""What people choose between two pictures: who is asked, what models say, and how good it is."""
