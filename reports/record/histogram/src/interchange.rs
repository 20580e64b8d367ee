//! The interchange form of a histogram, looked over before its decoder believes it: how long it is, and what it counts.
//!
//! HdrHistogram's decoder takes memory for whatever length the head announces, four gigabytes at most, and negates a
//! number that has no negative. A run directory may be anybody's.

use std::io::Read;

/// The compressed form, and the plain one that is in it (HdrHistogram, EncodableHistogram.java).
const COMPRESSED: u32 = 0x1c84_9314;
const PLAIN: u32 = 0x1c84_9313;

/// Cookie, length, offset, digits, low, high, ratio.
const HEAD_BYTES: usize = 40;

/// The plain form of one of ours is at most a few hundred KiB, of one with five digits some MiB.
const MOST_BYTES: u64 = 4 << 20;

/// A number of so many bytes is 2^56 and more, or as many zeros.
const LONGEST_NUMBER: usize = 8;

/// The plain form, in which every length is true and every number one that a load could have counted.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn plain(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let plain = match word(bytes, 0) {
        Some(COMPRESSED) => inflate(bytes.get(8..).unwrap_or_default(), word(bytes, 4).unwrap_or_default())?,
        Some(PLAIN) => bytes.to_vec(),
        _ => return Err("it does not begin as an HdrHistogram of the V2-deflate form".to_owned()),
    };
    let (Some(PLAIN), Some(length), Some(counts)) = (word(&plain, 0), word(&plain, 4), plain.get(HEAD_BYTES..)) else {
        return Err("its head is cut off, or not of the V2 form".to_owned());
    };
    if counts.len() != length as usize {
        return Err(format!("it announces {length} bytes of counts and has {}", counts.len()));
    }
    let mut long = 0;
    for byte in counts {
        // The ninth byte of a number is whole, without a mark whether another follows.
        long = if byte & 0x80 == 0 { 0 } else { long + 1 };
        if long == LONGEST_NUMBER {
            return Err("it counts more than any load can make".to_owned());
        }
    }
    Ok(plain)
}

fn inflate(packed: &[u8], length: u32) -> Result<Vec<u8>, String> {
    let packed =
        packed.get(..length as usize).ok_or_else(|| format!("it announces {length} bytes and has {}", packed.len()))?;
    let mut plain = Vec::new();
    let read = flate2::read::ZlibDecoder::new(packed).take(MOST_BYTES + 1).read_to_end(&mut plain);
    read.map_err(|e| format!("it cannot be unpacked: {e}"))?;
    if plain.len() as u64 > MOST_BYTES {
        return Err(format!("it unpacks to more than {MOST_BYTES} bytes"));
    }
    Ok(plain)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|four| u32::from_be_bytes(*four))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A plain form: three digits from 1 ns to an hour, with these counts behind an announced length.
    fn of(length: u32, counts: &[u8]) -> Vec<u8> {
        let mut bytes = [PLAIN, length, 0, 3].map(u32::to_be_bytes).concat();
        bytes.extend([1, 3_600_000_000_000, 1f64.to_bits()].map(u64::to_be_bytes).concat());
        bytes.extend(counts);
        bytes
    }

    fn packed(plain: &[u8]) -> Vec<u8> {
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        zlib.write_all(plain).unwrap();
        let zlib = zlib.finish().unwrap();
        [&COMPRESSED.to_be_bytes()[..], &(zlib.len() as u32).to_be_bytes(), &zlib].concat()
    }

    #[test]
    fn what_is_announced_is_there() {
        let whole = of(3, &[2, 4, 6]);
        assert_eq!(plain(&whole), Ok(whole.clone()));
        assert_eq!(plain(&packed(&whole)), Ok(whole.clone()));
        for (bytes, said) in [
            (packed(&of(u32::MAX, &[2])), "announces 4294967295 bytes of counts and has 1"),
            (of(1, &[]), "announces 1 bytes"),
            (packed(&whole)[..20].to_vec(), "bytes and has 12"),
            (packed(&whole[..30]), "its head is cut off"),
            (packed(&[0; 50]), "not of the V2 form"),
            (b"hello".to_vec(), "does not begin"),
            (Vec::new(), "does not begin"),
            ([&COMPRESSED.to_be_bytes()[..], &[0, 0, 0, 4, 1, 2, 3, 4]].concat(), "cannot be unpacked"),
        ] {
            let error = plain(&bytes).unwrap_err();
            assert!(error.contains(said), "{said}: {error}");
        }
    }

    #[test]
    fn what_unpacks_to_a_thousand_times_its_size_is_not_unpacked() {
        let bomb = packed(&of(1 << 30, &vec![0; 64 << 20]));
        assert!(bomb.len() < 100_000, "{}", bomb.len());
        assert!(plain(&bomb).unwrap_err().contains("unpacks to more than 4194304 bytes"));
    }

    #[test]
    fn a_number_that_no_load_counts_is_refused_and_the_longest_that_may_be_is_not() {
        let longest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert!(plain(&of(8, &longest)).is_ok());
        assert!(plain(&of(9, &[0xff; 9])).unwrap_err().contains("counts more than any load"));
        // Two numbers of seven marked bytes each are not one of fourteen.
        assert!(plain(&of(16, &[longest, longest].concat())).is_ok());
    }
}
