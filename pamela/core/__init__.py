"""What every layer uses: errors, files, the project root, tables and their columns."""
