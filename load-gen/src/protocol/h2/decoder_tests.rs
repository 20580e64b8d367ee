//! The decoder against the examples of RFC 7541 Appendix C, and against blocks that are none.

use std::sync::Arc;

use super::*;
use crate::protocol::h2::desk::hex;
use crate::protocol::h2::integer;

const NAMES: &[&str] = &[
    ":method",
    ":scheme",
    ":path",
    ":authority",
    ":status",
    "custom-key",
    "password",
    "cache-control",
    "date",
    "location",
    "content-encoding",
    "set-cookie",
];

struct Reader {
    decoder: Decoder,
    names: Names,
}

impl Reader {
    fn new(table: usize) -> Self {
        let wanted: Arc<[String]> = NAMES.iter().map(|n| (*n).to_owned()).collect();
        let mut decoder = Decoder::new();
        decoder.table.set_limit(table);
        Self { decoder, names: Names::new(wanted) }
    }

    fn read(&mut self, block: &[u8]) -> Result<String, Broken> {
        let mut text = String::new();
        self.decoder.decode(block, &self.names, |meaning, value| {
            let name = meaning.wanted().map_or("?", |w| NAMES[w]);
            text += &format!("{name}={}\n", String::from_utf8_lossy(value));
        })?;
        Ok(text)
    }

    /// Reads an example: what it says, and how large the table is then.
    fn example(&mut self, block: &str, fields: &[&str], size: usize) {
        assert_eq!(self.read(&hex(block)).unwrap(), fields.iter().map(|f| format!("{f}\n")).collect::<String>());
        assert_eq!(self.decoder.table.size(), size, "after {fields:?}");
    }
}

#[test]
fn single_headers() {
    Reader::new(4096).example(
        "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
        &["custom-key=custom-header"],
        55,
    );
    Reader::new(4096).example("040c 2f73 616d 706c 652f 7061 7468", &[":path=/sample/path"], 0);
    Reader::new(4096).example("1008 7061 7373 776f 7264 0673 6563 7265 74", &["password=secret"], 0);
    Reader::new(4096).example("82", &[":method=GET"], 0);
}

#[test]
fn requests_plain_and_coded() {
    for blocks in [
        [
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ],
        [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ],
    ] {
        let mut reader = Reader::new(4096);
        let authority = ":authority=www.example.com";
        reader.example(blocks[0], &[":method=GET", ":scheme=http", ":path=/", authority], 57);
        let fields = [":method=GET", ":scheme=http", ":path=/", authority, "cache-control=no-cache"];
        reader.example(blocks[1], &fields, 110);
        let fields = [":method=GET", ":scheme=https", ":path=/index.html", authority, "custom-key=custom-value"];
        reader.example(blocks[2], &fields, 164);
    }
}

#[test]
fn responses_plain_and_coded_with_a_table_that_overflows() {
    for blocks in [
        [
            "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120
             474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "4803 3330 37c1 c0bf",
            "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738
             666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33
             3630 303b 2076 6572 7369 6f6e 3d31",
        ],
        [
            "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718
             63c7 8f0b 97c8 e9ae 82ae 43d3",
            "4883 640e ffc1 c0bf",
            "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7
             b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
        ],
    ] {
        let mut reader = Reader::new(256);
        let (private, location) = ("cache-control=private", "location=https://www.example.com");
        let date = "date=Mon, 21 Oct 2013 20:13:21 GMT";
        reader.example(blocks[0], &[":status=302", private, date, location], 222);
        reader.example(blocks[1], &[":status=307", private, date, location], 222);
        let cookie = "set-cookie=foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
        let date = "date=Mon, 21 Oct 2013 20:13:22 GMT";
        reader.example(blocks[2], &[":status=200", private, date, location, "content-encoding=gzip", cookie], 215);
    }
}

#[test]
fn an_entry_may_lend_its_name_to_the_one_that_pushes_it_out() {
    let mut reader = Reader::new(4096);
    reader.read(&[&[0x3f, 0x18][..], b"\x40\x0acustom-key\x01a"].concat()).unwrap(); // 55 bytes
    assert_eq!(reader.read(b"\x7e\x03abc\xbe").unwrap(), "custom-key=abc\ncustom-key=abc\n");
    assert_eq!(reader.decoder.table.size(), 45);
}

#[test]
fn an_entry_larger_than_the_table_empties_it() {
    let mut reader = Reader::new(60);
    reader.read(b"\x40\x0acustom-key\x01a").unwrap();
    let long = [&b"\x40\x0acustom-key\x14"[..], &[b'b'; 20]].concat();
    assert_eq!(reader.read(&long).unwrap(), format!("custom-key={}\n", "b".repeat(20)));
    assert_eq!(reader.decoder.table.size(), 0);
    assert!(reader.read(&[0xbe]).is_err());
}

#[test]
fn the_table_lasts_through_many_entries() {
    let mut reader = Reader::new(4096);
    for round in 0..2000 {
        let value = format!("{round:0100}");
        let mut block = b"\x40\x0acustom-key\x64".to_vec();
        block.extend_from_slice(value.as_bytes());
        block.push(0xbe);
        let line = format!("custom-key={value}\n");
        assert_eq!(reader.read(&block).unwrap(), line.repeat(2));
        // 142 bytes each: 28 of them fit.
        if round >= 28 {
            let mut oldest = Vec::new();
            integer::write(61 + 28, 7, 0x80, &mut oldest);
            assert_eq!(reader.read(&oldest).unwrap(), format!("custom-key={:0100}\n", round - 27));
        }
    }
    assert_eq!(reader.decoder.table.size(), 28 * 142);
}

#[test]
fn what_is_no_block_is_refused() {
    for bad in [
        "80",
        "be",
        "ff00",
        "ffffffffff7f",
        "7e0161",
        "40",
        "4001",
        "400161",
        "40016105",
        "4081ff0161",
        "4001618160",
        "823f00",
        "3fe21f",
        "00ff",
    ] {
        let bad = hex(bad);
        let got = Reader::new(4096).read(&bad);
        assert!(got.as_ref().is_err_and(|b| b.code == code::COMPRESSION), "{bad:x?}: {got:?}");
    }
    // The size may be set at the beginning, also twice, to what we said at most.
    assert_eq!(Reader::new(4096).read(&hex("20 3fe11f 82")).unwrap(), ":method=GET\n");
}

#[test]
fn a_value_that_nobody_wants_is_stepped_over() {
    // "server", broken code; kept in the table it must be read, not kept it need not.
    assert_eq!(Reader::new(4096).read(&hex("0f27 81 00 82")).unwrap(), "?=\n:method=GET\n");
    assert!(Reader::new(4096).read(&hex("76 81 00 82")).is_err());
    // Without a table nothing is kept.
    assert_eq!(Reader::new(4096).read(&hex("20 76 81 00 82")).unwrap(), "?=\n:method=GET\n");
}

#[test]
fn few_bytes_may_not_become_many_headers() {
    let mut reader = Reader::new(4096);
    let mut block = [&b"\x40\x0acustom-key\x7f\xa1\x1e"[..], &[b'b'; 4000]].concat();
    block.extend_from_slice(&[0xbe; 20]);
    let got = reader.read(&block);
    assert!(got.as_ref().is_err_and(|b| b.code == code::ENHANCE_YOUR_CALM), "{got:?}");
}

#[test]
fn a_type_is_known_by_the_beginning_of_its_code() {
    let mut code = Vec::new();
    huffman::encode(GRPC, &mut code);
    assert_eq!(code, GRPC_CODED);
    for (text, grpc) in [("application/grpc", true), ("application/grpc+proto", true), ("application/grpb", false)] {
        // Not to be kept, in a table, and uncoded: the same.
        let mut coded = Vec::new();
        huffman::encode(text.as_bytes(), &mut coded);
        let coded = [&[0x80 | coded.len() as u8][..], &coded].concat();
        let plain = [&[text.len() as u8][..], text.as_bytes()].concat();
        for (begin, value) in [(&[0x0f, 0x10][..], &coded), (&[0x5f], &coded), (&[0x0f, 0x10], &plain)] {
            let mut found = None;
            let mut reader = Reader::new(4096);
            let block = [begin, value].concat();
            reader.decoder.decode(&block, &reader.names, |_, value| found = Some(value.starts_with(GRPC))).unwrap();
            assert_eq!(found, Some(grpc), "{text} as {block:x?}");
        }
    }
}
