"""Who is seen and unseen: users and images on the sides of train, validation and test."""
