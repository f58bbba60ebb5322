"""Everything that is trained: trunk, embedding, ridge solver, IoU predictor; and checkpoints."""
