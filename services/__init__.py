"""The services of Atelier; nothing is imported here."""
