"""What draws pictures from prompts: the embedded world's renderer and real text-to-image models."""
