"""Candidate entities from language models; reached through entry points."""
