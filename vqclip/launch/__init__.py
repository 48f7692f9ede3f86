"""Where jobs are done: here, in processes of this machine, or on a Ray cluster; one contract for all."""
