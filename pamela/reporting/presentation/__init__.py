"""How pages and plots look: templates, style, colours."""
