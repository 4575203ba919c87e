"""The vector renderer: a scene specification to a picture."""
