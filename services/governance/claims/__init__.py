"""What a piece of copy claims, and what the record says to each claim. Pure."""
