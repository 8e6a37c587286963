"""What would fail hours later, looked at before the first job. Nothing here changes anything."""
