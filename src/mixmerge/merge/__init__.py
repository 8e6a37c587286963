"""Merging specialists with MergeKit: methods, recipes, and the run of one."""
