"""Jinja templates of the report: markup of tables and pages, and all that it says in prose."""
