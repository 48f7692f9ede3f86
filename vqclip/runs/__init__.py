"""Keep what a run writes to the disk: run folder, frames, snapshots, provenance."""
