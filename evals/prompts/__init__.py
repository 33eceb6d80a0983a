"""Prompts that were tried and lost, and the command that compares them with the one that serves."""
