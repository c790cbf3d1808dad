//! What travels: a datagram, and the same one back.

use bytes::Bytes;

/// Asks for an answer.
const PING: u8 = 1;
/// Is one.
const PONG: u8 = 2;
/// A kind, and a number. Both directions are of one size: nobody gets more than he sent.
const LEN: usize = 9;

/// A datagram that asks.
pub(crate) fn ping(number: u64) -> Bytes {
    write(PING, number)
}

/// The answer to a datagram, if it is one that asks.
pub(crate) fn answer(datagram: &[u8]) -> Option<Bytes> {
    read(PING, datagram).map(|number| write(PONG, number))
}

/// The number that an answer repeats.
pub(crate) fn answered(datagram: &[u8]) -> Option<u64> {
    read(PONG, datagram)
}

fn write(kind: u8, number: u64) -> Bytes {
    let mut bytes = [0; LEN];
    bytes[0] = kind;
    bytes[1..].copy_from_slice(&number.to_be_bytes());
    Bytes::copy_from_slice(&bytes)
}

fn read(kind: u8, datagram: &[u8]) -> Option<u64> {
    let (first, number) = datagram.split_first()?;
    let number: [u8; 8] = number.try_into().ok()?;
    (*first == kind).then(|| u64::from_be_bytes(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_repeats_the_number_and_nothing_else_is_answered() {
        let pong = answer(&ping(7)).unwrap();
        assert_eq!(answered(&pong), Some(7));
        assert_eq!(pong.len(), ping(7).len());
        assert_eq!(answer(&pong), None, "answers would echo for ever");
        for strange in [&b""[..], b"\x01", b"\x0112345678\0", b"\x0312345678"] {
            assert_eq!((answer(strange), answered(strange)), (None, None));
        }
    }
}
