"""Records and seams that cross the walls between rooms; nothing here imports what is heavy."""
