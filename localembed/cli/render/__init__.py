"""How results look: text for a terminal, and formats for other programs."""
