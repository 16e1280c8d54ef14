//! Which line an instruction is of, by the tables that the compiler writes into each function.

use super::layout::LineFormat;

/// The line of the instruction at an offset in bytes. `first` is the first line of the function.
///
/// `None` if the table does not cover it, or says that it has no line.
pub(super) fn line(format: LineFormat, table: &[u8], first: i32, offset: u64) -> Option<u32> {
    let line = match format {
        LineFormat::Increments => increments(table, first.into(), offset),
        LineFormat::Ranges => ranges(table, first.into(), offset),
        LineFormat::Locations => locations(table, first.into(), offset),
    }?;
    u32::try_from(line).ok().filter(|line| *line > 0)
}

/// Pairs of what is added to the offset, and to the line.
fn increments(table: &[u8], mut line: i64, offset: u64) -> Option<i64> {
    let mut at: u64 = 0;
    for [bytes, lines] in table.as_chunks().0 {
        at = at.saturating_add(u64::from(*bytes));
        if at > offset {
            break;
        }
        line = line.saturating_add(i64::from(lines.cast_signed()));
    }
    Some(line)
}

/// Pairs of how many bytes of instructions are next, and how many lines below the last ones they are.
fn ranges(table: &[u8], mut line: i64, offset: u64) -> Option<i64> {
    let mut end: u64 = 0;
    for [bytes, lines] in table.as_chunks().0 {
        end = end.saturating_add(u64::from(*bytes));
        let has_line = *lines != 0x80;
        if has_line {
            line = line.saturating_add(i64::from(lines.cast_signed()));
        }
        if offset < end {
            return has_line.then_some(line);
        }
    }
    None
}

/// Entries of variable size, of which only the number of instructions and the line are of interest.
fn locations(table: &[u8], mut line: i64, offset: u64) -> Option<i64> {
    let mut rest = table.iter().copied().peekable();
    let mut end: u64 = 0;
    while let Some(first) = rest.next() {
        // Each entry begins with its last bit set, and no other byte has it.
        if first & 0x80 == 0 {
            return None;
        }
        end = end.saturating_add(u64::from(first & 7).saturating_add(1) * 2);
        let kind = first >> 3 & 0xf;
        let has_line = kind != 15;
        let delta = match kind {
            10..=12 => i64::from(kind) - 10,
            13 | 14 => signed(&mut rest)?,
            _ => 0,
        };
        line = line.saturating_add(delta);
        if offset < end {
            return has_line.then_some(line);
        }
        while rest.next_if(|byte| byte & 0x80 == 0).is_some() {}
    }
    None
}

/// A number in groups of six bits, the lowest first. Its lowest bit is the sign.
fn signed(bytes: &mut impl Iterator<Item = u8>) -> Option<i64> {
    let mut value: i64 = 0;
    // The longest is of 32 bits.
    for shift in (0..36).step_by(6) {
        let byte = bytes.next()?;
        value |= i64::from(byte & 0x3f) << shift;
        if byte & 0x40 == 0 {
            let magnitude = value >> 1;
            return Some(if value & 1 == 1 {
                -magnitude
            } else {
                magnitude
            });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A function whose lines go up and down, and skip more than a byte can say, as three versions compile it.
    const TABLE_3_9: &str = "00030c0102010401020102fe06040a7f004b060102ff";
    const TABLE_3_10: &str = "0c03020104010201020106fe0804007f064b020106ff";
    const TABLE_3_11: &str = "8000f506000e13903189588c58f000060512f0000605128801f002050912d80c0d8f468a46d8\
        1012d81011f105020d13f400020d13f000020d13f0080011129001f890018845884588458845f05406010c18f000010c18d8\
        1516f003010c18f100010c18f400010c18f000010518";

    fn bytes(hex: &str) -> Vec<u8> {
        let digits = hex.as_bytes().chunks(2);
        digits
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// Checks the first and the last instruction of each range.
    fn check(format: LineFormat, table: &str, ranges: &[(u64, u64, Option<u32>)]) {
        let table = bytes(table);
        for (start, end, expected) in ranges {
            for offset in [*start, end - 2] {
                let line = line(format, &table, 3, offset);
                assert_eq!(line, *expected, "{format:?} {offset}");
            }
        }
    }

    #[test]
    fn lines_are_those_that_python_itself_tells() {
        // dis.findlinestarts and code.co_lines.
        let ranges = [
            (0, 12, Some(6)),
            (12, 14, Some(7)),
            (14, 18, Some(8)),
            (18, 20, Some(9)),
            (20, 22, Some(10)),
            (22, 28, Some(8)),
            (28, 38, Some(12)),
            (38, 44, Some(214)),
            (44, 46, Some(215)),
            (46, 52, Some(214)),
        ];
        check(LineFormat::Increments, TABLE_3_9, &ranges);
        let ranges = [
            (0, 12, Some(6)),
            (12, 14, Some(7)),
            (14, 18, Some(8)),
            (18, 20, Some(9)),
            (20, 22, Some(10)),
            (22, 28, Some(8)),
            (28, 36, Some(12)),
            (36, 42, Some(214)),
            (42, 44, Some(215)),
            (44, 50, Some(214)),
            (50, 52, None),
        ];
        check(LineFormat::Ranges, TABLE_3_10, &ranges);
        let ranges = [
            (0, 2, Some(3)),
            (2, 36, Some(6)),
            (36, 38, Some(7)),
            (38, 62, Some(8)),
            (62, 64, Some(9)),
            (64, 66, Some(10)),
            (66, 82, Some(8)),
            (82, 86, Some(12)),
            (86, 88, None),
            (88, 98, Some(12)),
            (98, 102, Some(214)),
            (102, 104, Some(215)),
            (104, 122, Some(214)),
            (122, 124, None),
        ];
        check(LineFormat::Locations, TABLE_3_11, &ranges);
    }

    #[test]
    fn broken_tables_have_no_lines() {
        let cut = bytes(TABLE_3_11);
        for length in 0..12 {
            let table = cut.get(..length).unwrap();
            assert_eq!(line(LineFormat::Locations, table, 3, 120), None);
        }
        // No beginning of an entry; a number without an end; one of too many bits.
        for table in ["78", "e87f", "e87f7f7f7f7f7f7f7f"] {
            assert_eq!(line(LineFormat::Locations, &bytes(table), 3, 0), None);
        }
        assert_eq!(line(LineFormat::Increments, &[2, 0x80], 3, 4), None);
        assert_eq!(line(LineFormat::Ranges, &[4, 0x80], 3, 2), None);
        assert_eq!(
            line(LineFormat::Ranges, &[4, 1], i32::MAX, 2),
            Some(1 << 31)
        );
    }
}
