"""Engines that complete prompts: all greedy, all ending alike."""
