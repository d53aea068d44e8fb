"""bin/train_memory_task: recurrent cells on tasks that need a memory."""
