"""A hash table of words in NumPy that looks up thousands at once.

A dict would need a string for each word; here a word's key is the sum of its characters, each
multiplied by a random number for its position (multilinear hashing; Carter and Wegman, 1979),
modulo 2^64. Every process draws new random numbers. Two of 100,000 words have the same key in one
of 10^8 processes, and an attacker cannot choose such words.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from localembed.types.arrays import IntArray

    KeyArray = npt.NDArray[np.uint64]

LONGEST = 1024
"""Maximum characters of a word with a key."""
_FACTORS = np.frombuffer(os.urandom(8 * LONGEST), np.uint64)
_MIN_BITS = 12
_ROOM = 4
"""Slots per word: enough that collisions are rare."""


def word_keys(codes: npt.NDArray[np.uint32], lengths: IntArray) -> KeyArray:
    """Return the keys of words: (words,) uint64.

    Args:
        codes: the code points of all words, one after the other.
        lengths: the length of each word in characters, at most `LONGEST`.
    """
    ends = np.cumsum(lengths)
    places = np.arange(len(codes)) - np.repeat(ends - lengths, lengths)
    sums = np.zeros(len(codes) + 1, np.uint64)
    # A code point of 0 must count as well.
    np.cumsum((codes.astype(np.uint64) + np.uint64(1)) * _FACTORS[places], out=sums[1:])
    keys: KeyArray = sums[ends] - sums[ends - lengths]
    return keys


class WordTable:
    """Consecutive numbers from 0 by key: open addressing with linear probing."""

    def __init__(self) -> None:
        """Start empty."""
        self._count = 0
        self._make_room(_MIN_BITS)

    def __len__(self) -> int:
        """Return the number of words."""
        return self._count

    def find(self, keys: KeyArray) -> IntArray:
        """Return the words' numbers, -1 for an unknown word: (words,) int32."""
        slots = self._first_slots(keys)
        numbers = self._numbers[slots]
        left = np.flatnonzero((self._keys[slots] != keys) & (numbers >= 0))
        while len(left):
            slots[left] = self._next_slots(slots[left])
            numbers[left] = self._numbers[slots[left]]
            left = left[(self._keys[slots[left]] != keys[left]) & (numbers[left] >= 0)]
        return numbers

    def add(self, keys: KeyArray) -> None:
        """Assign the next numbers to new words, all different."""
        numbers = np.arange(self._count, self._count + len(keys), dtype=np.int32)
        self._count += len(keys)
        if self._count * _ROOM > len(self._keys):
            known = self._numbers >= 0
            old = self._keys[known], self._numbers[known]
            self._make_room((self._count * _ROOM).bit_length())
            self._place(*old)
        self._place(keys, numbers)

    def _place(self, keys: KeyArray, numbers: IntArray) -> None:
        slots = self._first_slots(keys)
        while len(keys):
            free = self._numbers[slots] < 0
            # If several want the same slot, the last gets it, in both arrays.
            self._keys[slots[free]] = keys[free]
            self._numbers[slots[free]] = numbers[free]
            left = self._numbers[slots] != numbers
            keys, numbers, slots = keys[left], numbers[left], self._next_slots(slots[left])

    def _make_room(self, bits: int) -> None:
        self._shift = np.uint64(64 - bits)
        self._keys = np.zeros(1 << bits, np.uint64)
        self._numbers = np.full(1 << bits, -1, np.int32)

    def _first_slots(self, keys: KeyArray) -> npt.NDArray[np.int64]:
        return (keys >> self._shift).astype(np.int64)

    def _next_slots(self, slots: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return (slots + 1) % len(self._keys)
