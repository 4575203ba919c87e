"""Encoders of images and prompts behind one base class."""
