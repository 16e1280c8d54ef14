//! Recordings whose checksum is right and whose content is not: made by someone who means harm.

use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;
use crate::collector::request::{NetnsChoice, Request, ScanChoice, SourceChoice};
use crate::filter::Filter;
use crate::model::{DetailSet, Families, GapKind, Protocols};

const PROCFS: &[u8] = include_bytes!("../../fixtures/recordings/udp-procfs.cw");
const FIXTURE: &[u8] = include_bytes!("../../fixtures/recordings/leak.cw");

/// A recording with these sections, and the checksum that belongs to them.
fn made_of(sections: &[(Tag, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes).unwrap();
    for (tag, body) in sections {
        writer.section(*tag, body).unwrap();
    }
    writer.end().unwrap();
    bytes
}

fn packed(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn unpacked(body: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    flate2::read::GzDecoder::new(body)
        .read_to_end(&mut content)
        .unwrap();
    content
}

fn sections() -> Vec<(Tag, Vec<u8>)> {
    let sections = format::sections(FIXTURE).unwrap();
    sections
        .into_iter()
        .map(|(tag, body)| (tag, body.to_vec()))
        .collect()
}

/// Everything of a recording.
fn request() -> Request {
    Request {
        source: SourceChoice::Auto,
        proc_root: PathBuf::from("/proc"),
        netns: NetnsChoice::Own,
        families: Families::Both,
        filter: Filter::everything(),
        owners: true,
        scan: ScanChoice::Procfs,
        cgroups: true,
        protocols: Protocols::Both,
        tcp_info: true,
        findings: true,
        details: DetailSet::ALL,
        limits: false,
        stacks: false,
        captured: false,
        others: true,
    }
}

/// Opens a recording and looks at everything in it; what comes of it does not matter.
fn look(bytes: &[u8]) {
    let Ok(recording) = Recording::read(bytes) else {
        return;
    };
    let _ = recording.redacted(Functions::Masked);
    let _ = recording.collect(&request());
}

#[test]
fn sections_that_are_missing_or_there_twice_are_found_out() {
    let all = sections();
    for at in 0..all.len() {
        let mut fewer = all.clone();
        let section = fewer.remove(at);
        assert!(
            Recording::read(&made_of(&fewer)).is_err(),
            "without {:?}",
            section.0
        );
        let mut more = all.clone();
        more.push(section.clone());
        assert!(
            Recording::read(&made_of(&more)).is_err(),
            "two {:?}",
            section.0
        );
    }
    assert!(Recording::read(&made_of(&all)).is_ok());
}

#[test]
fn a_dump_of_a_namespace_that_is_not_there_is_found_out() {
    let mut recording = Recording::read(FIXTURE).unwrap();
    recording.facts.dumps[0].netns = 7;
    let mut bytes = Vec::new();
    recording.write(&mut bytes).unwrap();
    assert!(matches!(
        Recording::read(&bytes),
        Err(RecordingError::Altered(_))
    ));
}

#[test]
fn a_recording_of_the_other_byte_order_is_not_read() {
    let mut recording = Recording::read(FIXTURE).unwrap();
    recording.facts.byte_order = ByteOrder::Big;
    let mut bytes = Vec::new();
    recording.write(&mut bytes).unwrap();
    assert!(matches!(
        Recording::read(&bytes),
        Err(RecordingError::ByteOrder)
    ));
}

#[test]
fn masked_twice_it_says_what_it_says_masked_once() {
    let once = Recording::read(FIXTURE).unwrap();
    let twice = once.redacted(Functions::Masked).unwrap();
    assert_eq!(once.facts.host.name, twice.facts.host.name);
    assert_eq!(once.owners.holders, twice.owners.holders);
}

/// The recording with each text of /proc changed.
fn with_texts(change: fn(&str) -> String) -> Vec<u8> {
    let sections = format::sections(PROCFS).unwrap().into_iter();
    let changed = sections.map(|(tag, body)| match String::from_utf8(unpacked(body)) {
        Ok(text) if tag == Tag::Dump && text.contains("sl") => {
            (tag, packed(change(&text).as_bytes()))
        }
        _ => (tag, body.to_vec()),
    });
    made_of(&changed.collect::<Vec<_>>())
}

#[test]
fn a_text_without_its_heading_is_a_gap_or_no_table_and_never_an_empty_one() {
    type Change = fn(&str) -> String;
    let changes: [(&str, Change); 4] = [
        ("another heading", |text| text.replacen("sl", "xx", 1)),
        ("a row in it", |text| text.replacen('\n', " ", 1)),
        ("a blank one", |_| "\n".to_owned()),
        ("words", |_| "sl no: table\nof anything\n".to_owned()),
    ];
    for (what, change) in changes {
        let recording = Recording::read(&with_texts(change)).unwrap();
        match recording.collect(&request()) {
            Ok(snapshot) => {
                let gaps = &snapshot.gaps;
                assert!(
                    gaps.iter().any(|gap| gap.kind == GapKind::Malformed),
                    "{what}: {gaps:?}"
                );
            }
            Err(error) => assert!(error.to_string().contains("altered"), "{what}: {error}"),
        }
    }
    let whole = Recording::read(&with_texts(str::to_owned)).unwrap();
    let snapshot = whole.collect(&request()).unwrap();
    let malformed = |gap: &Gap| gap.kind == GapKind::Malformed;
    assert!(!snapshot.gaps.iter().any(malformed));
}

#[test]
fn masked_it_has_as_many_rows_that_are_not_understood() {
    let bytes = with_texts(|text| format!("{text}sl 3\n10.214.77.93 secret\n"));
    let recording = Recording::read(&bytes).unwrap();
    let mut masked = Vec::new();
    recording
        .redacted(Functions::Masked)
        .unwrap()
        .write(&mut masked)
        .unwrap();
    let masked = Recording::read(&masked).unwrap();
    let malformed = |recording: Recording| {
        let snapshot = recording.collect(&request()).unwrap();
        let gaps = snapshot.gaps.into_iter();
        gaps.filter(|gap| gap.kind == GapKind::Malformed)
            .map(|gap| gap.count)
            .collect::<Vec<_>>()
    };
    let before = malformed(recording);
    assert!(!before.is_empty());
    assert_eq!(malformed(masked), before);
}

#[test]
fn a_section_that_comes_to_many_times_itself_is_refused() {
    let blanks = vec![b' '; 4 << 20];
    let mut all = sections();
    for (tag, body) in &mut all {
        if *tag == Tag::Evidence {
            *body = packed(&[&blanks, &b"[]"[..]].concat());
        }
    }
    let error = Recording::read(&made_of(&all)).unwrap_err();
    assert!(matches!(error, RecordingError::TooLarge), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 300 } else { 3_000 }))]

    #[test]
    fn whatever_a_section_holds_nothing_panics(
        section in 0..8usize,
        at in any::<prop::sample::Index>(),
        bytes in prop::collection::vec(any::<u8>(), 1..12),
    ) {
        let mut all = sections();
        let last = all.len() - 1;
        let (_, body) = &mut all[section.min(last)];
        let mut content = unpacked(body);
        let start = at.index(content.len().max(1));
        for (to, from) in content.iter_mut().skip(start).zip(&bytes) {
            *to = *from;
        }
        *body = packed(&content);
        look(&made_of(&all));
    }

    #[test]
    fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        look(&bytes);
        let line = [b"closewait recording 1\n", bytes.as_slice()].concat();
        look(&line);
    }
}

#[test]
fn what_goes_wrong_is_not_read_on() {
    struct Counted(u64);
    impl Read for Counted {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            bytes.fill(b'x');
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/recordings/leak.cw");
    let whole = std::fs::read(file).unwrap();
    let line = 1 + whole.iter().position(|byte| *byte == b'\n').unwrap();
    for begun in [&whole[..line], &whole] {
        let mut endless = Counted(0);
        let read = Recording::read_from(begun.chain(&mut endless));
        assert!(matches!(read, Err(RecordingError::Altered(_))), "{read:?}");
        assert!(endless.0 < 1024 * 1024, "{}", endless.0);
    }
}
