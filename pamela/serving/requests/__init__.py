"""From what a client sent to scores: strict records, pictures that may be sent, answers."""
