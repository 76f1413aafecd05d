//! Streams of the real programs in every format, whole and spoilt.
#![allow(clippy::expect_used, reason = "a test that can't go on fails")]

mod lab;
mod streams;

use ironcast_receiver_nostd::decode::{Compression, Fault, gzip};
use lab::Random;
use streams::{STREAMS, Stream, decode, decode_in_pieces, sample, stream};

/// Those with checksums of all that they hold.
fn checked() -> impl Iterator<Item = &'static Stream> {
    STREAMS
        .iter()
        .filter(|stream| !stream.name.contains("bare"))
}

/// Those that are small enough for a test of each byte or bit.
fn small() -> impl Iterator<Item = &'static Stream> {
    // Windows of 128 MiB take a while each time.
    checked().filter(|stream| stream.bytes.len() < 400 && !stream.name.contains("long27"))
}

#[test]
fn streams_come_out_as_they_went_in_however_they_are_cut() {
    for stream in STREAMS {
        let content = stream.content();
        for piece in 1..stream
            .bytes
            .len()
            .min(if stream.name.contains("long") { 4 } else { 300 })
        {
            for buffer in [gzip::WINDOW_LEN, 256 << 10] {
                let decoded = decode_in_pieces(stream.compression, stream.bytes, piece, buffer);
                assert!(
                    decoded.as_ref() == Ok(&content),
                    "{} in pieces of {piece}",
                    stream.name
                );
            }
        }
        assert!(decode(stream.compression, stream.bytes) == Ok(content));
    }
}

#[test]
fn streams_of_one_kind_follow_each_other() {
    for compression in Compression::ALL {
        let streams = STREAMS
            .iter()
            .filter(|stream| stream.compression == compression);
        let (mut all, mut content) = (Vec::new(), Vec::new());
        for stream in streams {
            all.extend_from_slice(stream.bytes);
            content.extend_from_slice(&stream.content());
        }
        for piece in [1, 13, all.len()] {
            let decoded = decode_in_pieces(compression, &all, piece, gzip::WINDOW_LEN);
            assert!(decoded.as_ref() == Ok(&content), "{compression}");
        }
    }
}

#[test]
fn a_stream_that_is_cut_off_anywhere_is_an_error() {
    for stream in STREAMS.iter().filter(|s| !s.name.contains("long")) {
        let (compression, whole) = (stream.compression, stream.bytes);
        for len in 0..whole.len() {
            let decoded = decode(compression, &whole[..len]);
            assert_eq!(decoded, Err(Fault::Truncated), "{} at {len}", stream.name);
            let after = decode(compression, &[whole, &whole[..len]].concat());
            match len {
                0 => assert_eq!(after, Ok(stream.content()), "{}", stream.name),
                _ => assert_eq!(after, Err(Fault::Truncated), "{} at {len}", stream.name),
            }
        }
    }
}

#[test]
fn p1_no_single_flipped_bit_goes_unnoticed() {
    for stream in small() {
        let content = stream.content();
        let mut errors = 0;
        for bit in 0..stream.bytes.len() * 8 {
            let mut spoilt = stream.bytes.to_vec();
            spoilt[bit / 8] ^= 1 << (bit % 8);
            let result = decode(stream.compression, &spoilt);
            // Some bits mean nothing, such as those of the time: then the image is right.
            let is_harmless = result.as_ref() == Ok(&content);
            assert!(result.is_err() || is_harmless, "{}: bit {bit}", stream.name);
            errors += usize::from(result.is_err());
        }
        let bits = stream.bytes.len() * 8;
        assert!(
            errors * 10 > bits * 6,
            "{}: only {errors} of {bits} bits matter",
            stream.name
        );
    }
}

#[test]
fn nothing_else_may_follow_but_zeros_behind_gzip() {
    for compression in Compression::ALL {
        let name = STREAMS
            .iter()
            .find(|stream| stream.compression == compression)
            .expect("each has one");
        let followed =
            |tail: &[u8]| decode(compression, &[name.bytes, tail].concat()).map(|all| all.len());
        let others = STREAMS.iter().filter(|s| s.compression != compression);
        for other in others.filter(|other| !other.name.contains("pzstd")) {
            assert_eq!(followed(other.bytes), Err(Fault::Garbage), "{}", other.name);
        }
        assert_eq!(followed(b"something else"), Err(Fault::Garbage));
        let zeros = followed(&[0; 512]);
        match compression {
            Compression::Gzip => assert_eq!(zeros, Ok(sample().len())),
            _ => assert_eq!(zeros, Err(Fault::Garbage), "{compression}"),
        }
    }
}

#[test]
fn the_first_bytes_tell_what_a_stream_is() {
    for stream in STREAMS {
        let compression = stream.compression;
        assert_eq!(
            Compression::of(stream.bytes),
            Some(compression),
            "{}",
            stream.name
        );
        assert_eq!(Compression::of(&stream.bytes[..2]), None);
        for other in Compression::ALL {
            // Frames to be skipped are LZ4's as well.
            let begins =
                other == compression || stream.name.contains("pzstd") && other == Compression::Lz4;
            assert_eq!(other.begins_with(stream.bytes), begins, "{}", stream.name);
        }
    }
    for raw in [
        &b""[..],
        b"\0\0\0\0\0\0\0\0\0",
        b"\x89LZO\0\r\n\x1a",
        b"\x1f\x8b\x07",
    ] {
        assert_eq!(Compression::of(raw), None);
    }
}

#[test]
fn what_is_something_else_is_told_at_once() {
    for compression in Compression::ALL {
        let expected = match compression {
            Compression::Gzip => Fault::Garbage,
            _ => Fault::NotThis,
        };
        assert_eq!(
            decode(compression, b"an image of another kind"),
            Err(expected)
        );
        assert_eq!(decode(compression, b""), Err(Fault::Truncated));
    }
}

#[test]
fn frames_to_be_skipped_are_passed_over() {
    for name in ["sample.lz4", "sample.zst"] {
        let Stream {
            compression, bytes, ..
        } = *stream(name);
        let skipped = |len: usize| {
            let head = [&[0x5c, 0x2a, 0x4d, 0x18][..], &(len as u32).to_le_bytes()].concat();
            [head, vec![7; len]].concat()
        };
        let all = [&skipped(0)[..], bytes, &skipped(70_000), bytes, &skipped(3)].concat();
        for piece in [1, 1000, all.len()] {
            let decoded = decode_in_pieces(compression, &all, piece, gzip::WINDOW_LEN);
            assert!(decoded == Ok([sample(), sample()].concat()), "{name}");
        }
        let cut = decode(compression, &all[..all.len() - 1]);
        assert_eq!(cut, Err(Fault::Truncated));
        assert_eq!(decode(compression, &skipped(9)), Ok(Vec::new()));
    }
}

#[test]
fn p6_noise_is_never_more_than_an_error() {
    let mut random = Random::new(5);
    for round in 0..300 {
        for stream in small() {
            let mut spoilt = stream.bytes.to_vec();
            for _ in 0..1 + random.below(8) {
                let at = random.below(spoilt.len() as u64) as usize;
                spoilt[at] = random.next() as u8;
            }
            if round % 3 == 0 {
                let start = spoilt.len().min(20);
                spoilt[start..].fill_with(|| random.next() as u8);
            }
            let piece = 1 + random.below(100) as usize;
            let decoded = decode_in_pieces(stream.compression, &spoilt, piece, gzip::WINDOW_LEN);
            let at_once = decode(stream.compression, &spoilt);
            assert!(decoded == at_once, "{}: {spoilt:?}", stream.name);
        }
    }
}
