"""bin/train_memory_task: what DNC and LSTM can keep."""
