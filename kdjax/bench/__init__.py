"""How fast a teacher and its students train here, and how far that is from the roof."""
