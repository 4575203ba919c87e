"""What scores pictures while steering: our reward models and generic rewards."""
