"""The embed stage: features of images and prompts, kept by image content."""
