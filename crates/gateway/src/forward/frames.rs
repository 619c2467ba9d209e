//! Where the frames of a WebSocket end, so that one of the gateway's can be put between two.

/// A frame that says "going away" (1001) to a client.
pub(super) const GOING_AWAY: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];
/// The same to a server, to which all is sent masked: here with zeros.
pub(super) const GOING_AWAY_MASKED: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9];

const OPCODE_CLOSE: u8 = 0x08;
/// Two bytes, eight of length, four of mask.
const HEAD_BYTES_MAX: usize = 14;

/// Follows the frames of one direction.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; HEAD_BYTES_MAX],
    /// Bytes of the next frame's head that are here.
    filled: usize,
    /// Bytes of the current frame's content that are to come.
    left: u64,
    is_closing: bool,
}

impl Frames {
    /// The next byte begins a frame.
    pub fn is_between_frames(&self) -> bool {
        self.filled == 0 && self.left == 0
    }

    /// A frame that closes the WebSocket is the last one in this direction, and has begun.
    pub fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// Follows all of these bytes.
    pub fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[self.step(bytes)..];
        }
    }

    /// Follows them up to the next end of a frame; returns how many these are.
    pub fn follow_to_end(&mut self, bytes: &[u8]) -> usize {
        let mut followed = 0;
        while followed < bytes.len() && !self.is_between_frames() {
            followed += self.step(&bytes[followed..]);
        }
        followed
    }

    /// Follows at least one byte, and none of a second frame.
    fn step(&mut self, bytes: &[u8]) -> usize {
        if self.left > 0 {
            let count = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= count as u64;
            return count;
        }
        self.head[self.filled] = bytes[0];
        self.filled += 1;
        if let Some(left) = self.length() {
            self.is_closing |= self.head[0] & 0x0f == OPCODE_CLOSE;
            (self.filled, self.left) = (0, left);
        }
        1
    }

    /// The length of the content, if the head is whole.
    fn length(&self) -> Option<u64> {
        let head = self.head.get(..self.filled)?;
        let (is_masked, short) = (head.get(1)? & 0x80 != 0, head[1] & 0x7f);
        let long = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if is_masked { 4 } else { 0 };
        if head.len() < 2 + long + mask {
            return None;
        }
        let number = head[2..2 + long].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        Some(if long == 0 { u64::from(short) } else { number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, content: usize, is_masked: bool) -> Vec<u8> {
        let mask = if is_masked { 0x80 } else { 0 };
        let mut bytes = vec![first];
        match content {
            0..126 => bytes.push(mask | content as u8),
            126..65_536 => {
                bytes.push(mask | 126);
                bytes.extend((content as u16).to_be_bytes());
            }
            _ => {
                bytes.push(mask | 127);
                bytes.extend((content as u64).to_be_bytes());
            }
        }
        bytes.extend(std::iter::repeat_n(0x88, content + if is_masked { 4 } else { 0 }));
        bytes
    }

    #[test]
    fn frames_end_where_their_heads_say() {
        for is_masked in [false, true] {
            for content in [0, 1, 125, 126, 300, 65_535, 65_536, 70_000] {
                let mut bytes = frame(0x82, content, is_masked);
                let length = bytes.len();
                bytes.extend(frame(0x81, 3, is_masked));
                for piece in [1, 2, 5, bytes.len()] {
                    let mut frames = Frames::default();
                    let mut ends = Vec::new();
                    for (index, piece_bytes) in bytes.chunks(piece).enumerate() {
                        let mut rest = piece_bytes;
                        while !rest.is_empty() {
                            // The first byte of a frame leaves its beginning.
                            frames.follow(&rest[..1]);
                            rest = &rest[1..];
                            rest = &rest[frames.follow_to_end(rest)..];
                            if frames.is_between_frames() {
                                ends.push((index * piece + piece_bytes.len()) - rest.len());
                            }
                        }
                    }
                    assert_eq!(ends, [length, bytes.len()], "{content} in pieces of {piece}");
                    assert!(!frames.is_closing());
                }
            }
        }
    }

    #[test]
    fn a_frame_that_closes_is_seen() {
        for bytes in [&GOING_AWAY[..], &GOING_AWAY_MASKED[..]] {
            let mut frames = Frames::default();
            frames.follow(bytes);
            assert!(frames.is_closing() && frames.is_between_frames());
        }
    }
}
