"""bin/train_controller: a linear controller, evolved in the dream."""
