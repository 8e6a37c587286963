"""Core: errors for people, command lines, files, redaction and what else every stage shares."""
