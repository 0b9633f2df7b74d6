"""One clock for a recording whose own starts again, as two .ts files put together have it."""

from fractions import Fraction

import av

BACK, FORWARD = Fraction(1, 10), Fraction(10)  # seconds; larger jumps are no timing but a new clock


class Clock:
    """Moves packets' times so that they go on where the recording's clock starts again.

    Only for formats in which that may happen (FFmpeg's flag ts_discont: MPEG's streams). The first
    stream that jumps says how far the next part is moved: to the end of what was read so far. The
    others take the same move when their own times jump, so sound and picture stay together.
    """

    def __init__(self, container, start: Fraction):
        self.jumps = bool(container.format.flags & av.format.Flags.ts_discont.value)
        self.end = Fraction(0)  # of what was read of any stream, in seconds
        self.moves = [-start]  # seconds by which each part of the recording is moved
        self.parts: dict[int, int] = {}  # part that each stream is in
        self.ends: dict[int, Fraction] = {}  # where each stream's last packet ended

    def take(self, packet) -> bool:
        """Give a packet its time; whether the clock has started again with it."""
        time = packet.dts if packet.dts is not None else packet.pts
        if time is None or not packet.time_base:
            return False
        stream, again = packet.stream.index, False
        part = self.parts.get(stream, 0)
        now = time * packet.time_base + self.moves[part]
        last = self.ends.get(stream)
        timed = self.jumps and packet.stream.type in ("video", "audio")
        if timed and last is not None and not (last - BACK <= now <= last + FORWARD):
            if part + 1 == len(self.moves):
                self.moves.append(self.end - time * packet.time_base)
                again = True
            part = self.parts[stream] = part + 1
            now = time * packet.time_base + self.moves[part]
        if self.moves[part]:
            shift = round(self.moves[part] / packet.time_base)
            packet.dts = packet.dts + shift if packet.dts is not None else None
            packet.pts = packet.pts + shift if packet.pts is not None else None
        shown = now
        if packet.pts is not None:
            shown = packet.pts * packet.time_base
        length = (packet.duration or 0) * packet.time_base
        self.ends[stream] = now + length
        self.end = max(self.end, shown + length)
        return again
