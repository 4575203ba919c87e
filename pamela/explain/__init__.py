"""Why a score: effects of looks, metadata, words and prompts for one person."""
