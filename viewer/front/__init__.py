"""What every front end remembers and decides, without a window: frozen state, pure updates."""
