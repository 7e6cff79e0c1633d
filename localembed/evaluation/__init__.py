"""How well an index ranks: questions with known answers, asked in every mode."""
