"""Chunk a document so that boundaries stay in place when text elsewhere in it is edited.

`tokens` finds the model's tokens once per document, `structure` the headings, `boundaries` where
chunks may begin, `sections` what can be chunked on its own, `spans` the exact characters; `chunker`
puts the records together. Import the module you need: `rules` is light, `chunker` imports NumPy.
"""
