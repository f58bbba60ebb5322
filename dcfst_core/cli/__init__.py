"""The command line, `dcfst`: one file a command, and what they share."""
