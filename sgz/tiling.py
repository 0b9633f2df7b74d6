"""Tiles of a picture, with what a network must see around them."""

from collections.abc import Iterator


def tiles(shape: tuple[int, int], scale: int, tile: int, halo: int) -> Iterator[tuple]:
    """Cut a map into tiles: (its part of the map, what to read of the image, where it lies there).

    A part is rows and columns of the map; what is read is wider by `halo` map pixels where the
    image goes on, so that the network sees at a seam what it sees in one piece.
    """
    small = [-(-side // scale) for side in shape]
    for top in range(0, small[0], tile):
        for left in range(0, small[1], tile):
            inner, outer, place = [], [], []
            for start, side in zip((top, left), small, strict=True):
                stop = min(start + tile, side)
                first, last = max(start - halo, 0), min(stop + halo, side)
                inner.append(slice(start, stop))
                outer.append(slice(first * scale, last * scale))
                place.append(slice(start - first, stop - first))
            yield tuple(inner), tuple(outer), tuple(place)
