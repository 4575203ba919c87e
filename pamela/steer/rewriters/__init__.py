"""What proposes new versions of a prompt: a vocabulary's search and language models."""
