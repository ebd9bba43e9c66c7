"""The commands, one file for each noun; loaded by name when they are called."""
