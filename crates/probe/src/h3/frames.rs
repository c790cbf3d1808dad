//! Where the frames of a stream end (RFC 9114 §7.1).

/// Reads the heads of frames, and skips what is in them.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The number that is being read (RFC 9000 §16), and bytes of it that are missing.
    number: u64,
    missing: u8,
    /// Whether it is a length: that of the type was read.
    is_length: bool,
    /// Bytes of the payload that are missing.
    payload: u64,
}

impl Frames {
    /// Takes what came next.
    pub(super) fn take(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            if self.payload > 0 {
                let skipped = bytes
                    .len()
                    .min(usize::try_from(self.payload).unwrap_or(usize::MAX));
                self.payload -= skipped as u64;
                bytes = &bytes[skipped..];
                continue;
            }
            bytes = rest;
            if self.missing == 0 {
                self.missing = (1 << (first >> 6)) - 1;
                self.number = u64::from(first & 0x3f);
            } else {
                self.missing -= 1;
                self.number = self.number << 8 | u64::from(*first);
            }
            if self.missing == 0 {
                if self.is_length {
                    self.payload = self.number;
                }
                self.is_length = !self.is_length;
            }
        }
    }

    /// Whether more of the last frame must come.
    pub(super) const fn is_within(&self) -> bool {
        self.payload > 0 || self.missing > 0 || self.is_length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A HEADERS frame of two bytes, and an empty one of a type and length in longer forms.
    const BYTES: [u8; 8] = [1, 2, 0xff, 0xff, 0x40, 0x21, 0x40, 0];

    #[test]
    fn a_stream_may_end_between_frames_only() {
        let between: Vec<usize> = (0..=BYTES.len())
            .filter(|end| {
                let mut frames = Frames::default();
                frames.take(&BYTES[..*end]);
                !frames.is_within()
            })
            .collect();
        assert_eq!(between, [0, 4, 8]);
    }

    #[test]
    fn it_does_not_matter_how_the_bytes_come() {
        let mut frames = Frames::default();
        for byte in BYTES {
            frames.take(&[byte]);
        }
        assert!(!frames.is_within());
    }

    /// The examples of RFC 9000 §A.1.
    #[test]
    fn lengths_are_read_in_every_form() {
        let payload = |length: &[u8]| {
            let mut frames = Frames::default();
            frames.take(&[&[0], length].concat());
            frames.payload
        };
        let longest = [0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c];
        assert_eq!(payload(&longest), 151_288_809_941_952_652);
        assert_eq!(payload(&[0x9d, 0x7f, 0x3e, 0x7d]), 494_878_333);
        assert_eq!(payload(&[0x7b, 0xbd]), 15_293);
        assert_eq!(payload(&[0x25]), 37);
        assert_eq!(payload(&[0x40, 0x25]), 37);
    }
}
