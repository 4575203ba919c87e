"""What a study found: tables of judgments and figures, a page, lines for the terminal."""
