"""Pictures as files hold them: pixels, masks, lenses."""
