"""Describe what is asked for as plain data: the schema, how a Config is resolved, prompts, schedules, frames."""
