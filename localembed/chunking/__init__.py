"""From a document's text to chunks whose cuts stay where they are when a neighbour is edited.

`tokens` finds the model's tokens once per document, `structure` the headings, `cuts` the places
to cut, `sections` what can be cut on its own, `spans` the exact characters; `chunker` puts the
records together. Import the room you
need: `rules` is light, `chunker` brings NumPy.
"""
