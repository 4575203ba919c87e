"""What taste may depend on: columns of pictures and of people."""
