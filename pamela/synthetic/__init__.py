"""The embedded world: prompts, a renderer, and simulated raters whose taste is known."""
