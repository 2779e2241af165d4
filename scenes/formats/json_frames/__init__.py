"""What all transforms.json files have in common: the document, its lens keys, its frames. No format by itself."""
